"""A rule `sample` keeps whole requests and every error, and decides alike each time."""

import json
from collections import Counter
from itertools import pairwise
from random import Random
from uuid import UUID

import pytest

from loki_shipper.local.sample import event_id
from loki_shipper.model import LogData, LogEvent, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, Transformed, transform
from loki_shipper.shipper.rules.parse import parse_rules

NOW = 1_795_206_163_123
SAMPLE = "[[rule]]\nname = 'some'\nsample = 10\n"
RANDOM = Random(18)
REQUESTS = [str(UUID(int=RANDOM.getrandbits(128))) for _ in range(2_000)]


def ran(rules: str, *lines: str, first: int = 0) -> Transformed:
    events = [
        LogEvent(event_id(NOW, NOW + 400, 1, first + index), NOW, line)
        for index, line in enumerate(lines)
    ]
    return of_events(rules, events)


def of_events(rules: str, events: list[LogEvent]) -> Transformed:
    return transform(
        LogData("DATA_MESSAGE", "123456789012", "/aws/lambda/f", "s", events),
        Stream(None, ()),
        (),
        rule_state=RuleState(parse_rules(rules), {}),
        settings=Settings(loki_url="http://loki"),
    )


def kept(rules: str, *lines: str, first: int = 0) -> list[tuple[str, str | None]]:
    """Give each line that is kept, with its rate."""
    return [
        (entry.line, dict(entry.metadata).get("sample_rate"))
        for _, entries in ran(rules, *lines, first=first).streams
        for entry in entries
    ]


def of_function(request: str) -> list[str]:
    return [
        f"START RequestId: {request} Version: $LATEST",
        f"[INFO]\t2026-11-10T09:14:05.703Z\t{request}\tcheckout begins",
        f"2026-11-10T09:14:05.703Z\t{request}\tINFO\tcheckout ends",
        json.dumps({"level": "INFO", "requestId": request}),
        json.dumps({"type": "platform.report", "record": {"requestId": request}}),
        f"REPORT RequestId: {request}\tDuration: 250.74 ms\t",
    ]


def test_the_lines_of_a_request_stay_together() -> None:
    lines = [line for request in REQUESTS[:500] for line in of_function(request)]
    found = Counter(
        next(request for request in REQUESTS if request in line) for line, _ in kept(SAMPLE, *lines)
    )
    assert 30 < len(found) < 70
    assert {*found.values()} == {len(of_function(""))}


def test_one_of_n_requests_is_kept_and_says_for_how_many_it_stands() -> None:
    got = kept(SAMPLE, *(f"START RequestId: {request} Version: 1" for request in REQUESTS))
    assert 150 < len(got) < 250
    assert {rate for _, rate in got} == {"10"}


def test_dropped_lines_are_counted_under_the_rule() -> None:
    result = ran(SAMPLE, *(f"RequestId: {request}" for request in REQUESTS))
    assert result.dropped == {"some": len(REQUESTS) - len(result.streams[0][1])}


def test_a_repeated_payload_is_decided_alike() -> None:
    lines = ["no request id", *(f"line {n}" for n in range(500))]
    assert kept(SAMPLE, *lines) == kept(SAMPLE, *lines)


def test_lines_without_a_request_id_are_decided_one_by_one() -> None:
    lines = ["the same text"] * 5_000
    assert 400 < len(kept(SAMPLE, *lines)) < 600


@pytest.mark.parametrize("step", [0, 1], ids=["of one millisecond", "of many"])
def test_lines_of_a_source_whose_ids_repeat_are_decided_one_by_one(step: int) -> None:
    events = [LogEvent("+0", NOW + step * number, f"line {number}") for number in range(1_000)]
    assert 60 < sum(map(len, (entries for _, entries in of_events(SAMPLE, events).streams))) < 140


def test_neighbouring_ids_of_log_events_are_decided_independently() -> None:
    got = [bool(kept(SAMPLE, "text", first=number)) for number in range(2_000)]
    after_kept = [follower for each, follower in pairwise(got) if each]
    assert 0.02 < sum(after_kept) / len(after_kept) < 0.2


@pytest.mark.parametrize(
    "line",
    [
        "[ERROR]\t2026-11-10T09:14:05.703Z\t{id}\tboom",
        "2026-11-10T09:14:05.703Z\t{id}\tERROR\tboom",
        "2026-11-10T09:14:05.703Z {id} Task timed out after 3.00 seconds",
        "RequestId: {id} Error: Runtime exited with error: exit status 1",
        '{{"level": "CRITICAL", "requestId": "{id}"}}',
        '{{"level": 60, "requestId": "{id}"}}',
        "Traceback (most recent call last):",
        "java.lang.NullPointerException",
    ],
)
def test_errors_are_always_kept_and_stand_for_themselves(line: str) -> None:
    lines = [line.format(id=request) for request in REQUESTS[:50]]
    assert kept(SAMPLE, *lines) == [(each, "1") for each in lines]


@pytest.mark.parametrize(
    "line",
    [
        "[INFO]\t2026-11-10T09:14:05.703Z\t{id}\tno error",
        '{{"level": "info", "requestId": "{id}", "error": null}}',
        "[WARNING]\t2026-11-10T09:14:05.703Z\t{id}\terror rate is fine",
    ],
)
def test_a_stated_level_counts_for_more_than_a_word(line: str) -> None:
    assert len(kept(SAMPLE, *(line.format(id=request) for request in REQUESTS[:200]))) < 60


def test_a_level_that_a_rule_above_reads_decides() -> None:
    rules = "[[rule]]\nmetadata = '^(?P<level>[A-Z]) '\n" + SAMPLE
    lines = [f"E {number}" for number in range(30)] + [f"I error {n}" for n in range(300)]
    got = kept(rules, *lines)
    assert got[:30] == [(line, "1") for line in lines[:30]]
    assert 10 < len(got) - 30 < 60


@pytest.mark.parametrize(
    ("above", "by", "line"),
    [
        ("", "trace.id", '{{"trace": {{"id": "{id}"}}, "n": {n}}}'),
        ("", "user", '{{"user": {number}, "n": {n}}}'),
        ("[[rule]]\nmetadata = ' (?P<trace>\\S+) '\n", "trace", "x {id} {n}"),
        ("[[rule]]\nmetadata = {trace = 'a.b'}\n", "trace", '{{"a": {{"b": "{id}"}}, "n": {n}}}'),
    ],
)
def test_by_names_a_field_or_the_metadata_of_a_rule_above(above: str, by: str, line: str) -> None:
    lines = [
        line.format(id=request, number=int(UUID(request)) % 10**9, n=n)
        for request in REQUESTS[:300]
        for n in range(3)
    ]
    got = [each for each, _ in kept(f"{above}{SAMPLE}by = '{by}'", *lines)]
    at = [number for number, each in enumerate(lines) if each in got]
    assert 15 < len({number // 3 for number in at}) < 50
    assert len(at) == 3 * len({number // 3 for number in at})


def test_log_groups_with_the_same_n_keep_the_same_requests() -> None:
    api = kept("[[rule]]\nsample = 10\nby = 'id'", *(f'{{"id": "{each}"}}' for each in REQUESTS))
    function = kept(SAMPLE, *(f"START RequestId: {each} Version: 1" for each in REQUESTS))
    assert [json.loads(line)["id"] for line, _ in api] == [line.split()[2] for line, _ in function]


def test_a_smaller_share_is_a_part_of_a_larger_one() -> None:
    lines = [f"RequestId: {each}" for each in REQUESTS]
    half = {line for line, _ in kept("[[rule]]\nsample = 2", *lines)}
    assert {line for line, _ in kept("[[rule]]\nsample = 100", *lines)} < half


def test_only_the_first_rule_samples_a_line() -> None:
    two = "[[rule]]\nname = 'a'\nsample = 10\n[[rule]]\nname = 'b'\nsample = 2\n"
    lines = [f"RequestId: {each}" for each in REQUESTS]
    assert kept(two, *lines) == kept(SAMPLE, *lines)
    assert {*ran(two, *lines).dropped} == {"a"}


def test_rules_above_drop_lines_before_they_are_sampled() -> None:
    rules = "[[rule]]\nname = 'd'\ndrop = 'health'\n" + SAMPLE
    assert ran(rules, *["health"] * 20).dropped == {"d": 20}


def test_the_rate_has_a_place_beside_much_metadata() -> None:
    fields = {f"n{number}": "x" for number in range(20)}
    named = ", ".join(f"{name} = '{name}'" for name in fields)
    line = json.dumps({**fields, "level": "error"})
    assert kept(f"[[rule]]\nmetadata = {{{named}}}\n{SAMPLE}", line) == [(line, "1")]
