"""Loki's lines are counted by time and text, each hour with its first and without its last."""

import json
from collections.abc import Mapping, Sequence

import pytest

from loki_shipper.audit.calls import loki_queries
from loki_shipper.audit.loki import LokiQueries, LokiReply, queries_of, read_loki
from loki_shipper.audit.model import AuditedGroup, LokiCounts, NotRead
from loki_shipper.aws.arn import Origin
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.model import Batch, Entry, LogEvent, Stream
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.answer import NoAnswer
from loki_shipper.shipper.delivery.encode import encode
from loki_shipper.shipper.delivery.hourly import HOUR_NS
from loki_shipper.shipper.delivery.push import LokiAccess, connect, push

HOUR = 490_000
START = HOUR * HOUR_NS
GROUP = AuditedGroup("/ecs/a.b", 0)
ORIGIN = Origin("aws", "eu-central-1", "123456789012")
SETTINGS = settings({"LOKI_URL": "http://loki:3100"})


class RealLoki:
    """A tenant of a real Loki."""

    def __init__(self, url: str, tenant: str) -> None:
        self._tenant = tenant
        self._access = LokiAccess(f"{url}/loki/api/v1/push", {})

    def hold(self, *lines: tuple[int, str], group: str = GROUP.name, **labels: str) -> None:
        named = {"log_group": group, "account_id": ORIGIN.account, "a": "x", **labels}
        stream = Stream(self._tenant, tuple(sorted(named.items())))
        entries = [Entry(at, line, (), LogEvent("", 0, line)) for at, line in sorted(lines)]
        answer = push(
            encode(Batch(stream, entries)),
            self._tenant,
            session=connect(self._access),
            url=self._access.url,
            seconds=10,
        )
        assert getattr(answer, "status", None) == 204, answer

    def counts(self, expected: int, group: AuditedGroup = GROUP, hour: int = HOUR) -> LokiCounts:
        queries = loki_queries(self._access, SETTINGS, ORIGIN, now=1, sleep=never)
        assert isinstance(queries, LokiQueries)
        of_tenant = AuditedGroup(group.name, 0, tenants=(self._tenant,))
        found = read_loki([of_tenant], {group.name: {hour: expected}}, queries, skipped={})
        assert not isinstance(found, NotRead), found
        return found[group.name]


def never(seconds: float) -> None:
    raise AssertionError(seconds)


@pytest.fixture
def real(loki: Loki | Running, tenant: str) -> RealLoki:
    return RealLoki(loki.url, tenant)


def test_an_hour_begins_with_its_first_nanosecond_and_ends_before_the_next_hour(
    real: RealLoki,
) -> None:
    edges = [START - 1, START, START + HOUR_NS - 1, START + HOUR_NS]
    real.hold(*((at, f"at {at}") for at in edges))
    assert real.counts(2).lines == {HOUR: 2}


def test_a_line_that_loki_holds_twice_counts_once(real: RealLoki) -> None:
    lines = [(START + n, f"line {n}") for n in range(5)]
    real.hold(*lines)
    real.hold(*lines[:3], late="Mon 10:00")
    assert real.counts(5) == LokiCounts({HOUR: 5})


def test_lines_of_one_time_and_equal_lines_of_two_times_count_each(real: RealLoki) -> None:
    real.hold((START, "a"), (START, "b"), (START + 1, "a"))
    assert real.counts(4).lines == {HOUR: 3}


def test_more_lines_than_a_page_are_read(real: RealLoki) -> None:
    real.hold(*((START + n // 3, f"line {n}") for n in range(2_500)))
    assert real.counts(2_501).lines == {HOUR: 2_500}


def test_the_name_of_a_log_group_is_no_pattern(real: RealLoki) -> None:
    real.hold((START, "a"))
    real.hold((START, "b"), group="/ecs/aXb")
    assert real.counts(1).lines == {HOUR: 1}


def test_an_hour_without_lines_counts_zero(real: RealLoki) -> None:
    assert real.counts(3).lines == {HOUR: 0}


def test_several_tenants_of_a_log_group_are_added_up(loki: Loki | Running, tenant: str) -> None:
    other = f"{tenant}-other"
    RealLoki(loki.url, tenant).hold((START, "a"))
    RealLoki(loki.url, other).hold((START, "b"), (START + 1, "c"))
    queries = loki_queries(
        LokiAccess(f"{loki.url}/loki/api/v1/push", {}), SETTINGS, ORIGIN, now=1, sleep=never
    )
    assert isinstance(queries, LokiQueries)
    group = AuditedGroup(GROUP.name, 0, tenants=(tenant, other))
    found = read_loki([group], {GROUP.name: {HOUR: 3}}, queries, skipped={})
    assert found == {GROUP.name: LokiCounts({HOUR: 3})}


# With a Loki that answers from a script.


def scripted(answers: Sequence[LokiReply | NoAnswer], waited: list[float]) -> LokiQueries:
    script = iter(answers)
    return LokiQueries(lambda *_: next(script), waited.append, "log_group", (), 1)


def counted(lines: int) -> LokiReply:
    result = [{"metric": {"log_group": GROUP.name}, "value": [1, str(lines)]}]
    return LokiReply(200, json.dumps({"data": {"result": result}}).encode())


EXPECTED = {GROUP.name: {HOUR: 3}}


def test_a_query_that_may_succeed_later_is_repeated() -> None:
    waited: list[float] = []
    answers: list[LokiReply | NoAnswer] = [
        NoAnswer("ReadTimeout"),
        LokiReply(429, b""),
        LokiReply(503, b""),
        counted(3),
    ]
    found = read_loki([GROUP], EXPECTED, scripted(answers, waited), skipped={})
    assert found == {GROUP.name: LokiCounts({HOUR: 3})}
    assert waited == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (LokiReply(401, b"no org id"), "it refuses queries with these credentials (401)"),
        (LokiReply(400, b"secret"), "it answers a query with 400"),
        (LokiReply(200, b"<html>"), "something other than Loki answers queries"),
        (LokiReply(200, b"[]"), "something other than Loki answers queries"),
    ],
)
def test_a_loki_that_refuses_is_not_read(answer: LokiReply, why: str) -> None:
    found = read_loki([GROUP], EXPECTED, scripted([answer], []), skipped={})
    assert isinstance(found, NotRead)
    assert why in found.why
    assert "secret" not in found.why


def test_a_loki_that_never_answers_is_not_read() -> None:
    answers = [NoAnswer("ReadTimeout")] * 4
    found = read_loki([GROUP], EXPECTED, scripted(answers, []), skipped={})
    assert found == NotRead("it does not answer (ReadTimeout)")


def test_hours_of_which_a_rule_chose_the_tenant_are_not_read_line_by_line() -> None:
    skipped = {GROUP.name: frozenset({HOUR})}
    found = read_loki([GROUP], EXPECTED, scripted([counted(1)], []), skipped=skipped)
    assert found == {GROUP.name: LokiCounts({HOUR: 1}, not_read=frozenset({HOUR}))}


def test_of_an_hour_with_many_lines_a_sample_is_read() -> None:
    """Every line is there twice, so half of them are different."""

    def ask(path: str, parameters: Mapping[str, str], _: str | None) -> LokiReply:
        if path.endswith("query"):
            return counted(100_000)
        start = int(parameters["start"])
        values = [[str(start + n), f"{start + n}"] for n in range(500)]
        result = [
            {"stream": {"a": "1"}, "values": values},
            {"stream": {"a": "2"}, "values": values},
        ]
        return LokiReply(200, json.dumps({"data": {"result": result}}).encode())

    queries = LokiQueries(ask, never, "log_group", (), 1)
    found = read_loki([GROUP], {GROUP.name: {HOUR: 50_000}}, queries, skipped={})
    assert isinstance(found, dict)
    assert found[GROUP.name].sampled == {HOUR}
    assert abs(found[GROUP.name].lines[HOUR] - 50_000) < 100


def test_a_hundred_log_groups_share_a_query() -> None:
    groups = [AuditedGroup(f"/ecs/{number}", 0) for number in range(250)]
    asked: list[str] = []

    def ask(_: str, parameters: Mapping[str, str], __: str | None) -> LokiReply:
        asked.append(parameters["query"])
        return LokiReply(200, b'{"data": {"result": []}}')

    queries = LokiQueries(ask, never, "log_group", (("account_id", "1"),), 1)
    read_loki(groups, {each.name: {HOUR: 1, HOUR + 1: 1} for each in groups}, queries, skipped={})
    assert len(asked) == queries_of(250, 2, 1) == 6
    assert ',account_id="1"}' in asked[0]


def test_without_a_label_of_the_log_group_loki_is_not_read() -> None:
    without = settings({"LOKI_URL": "http://loki:3100", "BUILTIN_LABELS": "service_name"})
    found = loki_queries(LokiAccess("http://loki", {}), without, ORIGIN, now=1, sleep=never)
    assert found == NotRead("not read: BuiltinLabels leaves log_group out")
