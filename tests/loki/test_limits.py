"""A real Loki with stock limits: each line is held, or accounted for in the bucket.

The tenants with a fault of their own are those of `loki-fault-tenants.yaml`.
"""

import os
import uuid
from collections import Counter

import pytest
from msgspec.structs import replace

from loki_shipper.local.loki import Loki
from loki_shipper.model import LogData
from loki_shipper.shipper.delivery.outcome import Report
from tests.loki.asking import DAY, HOUR, MINUTE, discarded, held, now, open_environment, selector
from tests.pipeline.execution_environment import ExecutionEnvironment, timed

type Outcomes = tuple[int, int, dict[str, int], dict[str, int]]


@pytest.fixture
def group() -> str:
    """A log group that no other test sees."""
    return f"/limits/{uuid.uuid4().hex}"


def decision(report: Report) -> Outcomes:
    return report.delivered, report.late, report.rejected, report.errored


def found(loki: Loki, tenant: str, group: str, *, page: int = 5_000, **labels: str) -> list[str]:
    lines = held(loki, tenant, selector({"log_group": group, **labels}), page=page)
    return [line.line for line in lines]


def accounted(
    loki: Loki,
    tenant: str,
    environment: ExecutionEnvironment,
    payload: LogData,
    *,
    page: int = 5_000,
) -> None:
    """Find each line in Loki or in the bucket, and in Loki no line that was not logged."""
    logged = Counter(event.message for event in payload.log_events)
    there = Counter(found(loki, tenant, payload.log_group, page=page))
    assert not logged - there - Counter(environment.kept(""))
    assert not there - logged


def aged(group: str, *ages: tuple[int, str]) -> LogData:
    today = now()
    return timed(*((today - age, line) for age, line in ages), log_group=group)


def big(group: str, count: int, size: int) -> LogData:
    """Give lines that no snappy makes small, a ms apart."""
    texts = (os.urandom(size // 2).hex() for _ in range(count))
    return aged(group, *((count - n, text) for n, text in enumerate(texts)))


# Times


def test_lines_too_old_are_rejected_and_their_neighbours_are_held(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant)
    payload = aged(group, (8 * DAY, "a"), (7 * DAY + HOUR, "b"), (MINUTE, "c"), (0, "d"))
    assert decision(environment.ship(payload)) == (2, 0, {"too_old": 2}, {})
    assert environment.kept("rejected/") == ["a", "b"]
    assert found(stock_loki, tenant, group) == ["c", "d"]
    assert discarded(stock_loki, tenant) == {"greater_than_max_sample_age": 2}


def test_lines_too_new_are_kept_for_later_and_their_neighbours_are_held(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant)
    payload = aged(group, (0, "a"), (-5 * MINUTE, "b"), (-11 * MINUTE, "c"), (-2 * HOUR, "d"))
    report = environment.ship(payload)
    assert decision(report) == (2, 0, {}, {})
    assert report.deferred == {"too_new": 2}
    assert environment.kept("later/") == ["c", "d"]
    assert found(stock_loki, tenant, group) == ["a", "b"]


def test_many_kinds_of_refusals_are_distinguished_although_the_answer_is_truncated(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant, {"MAX_LINE_BYTES": "1048576"})
    long = "x" * 300_000
    payload = aged(
        group,
        *((8 * DAY + n * 1000, f"old {n}") for n in range(400, 0, -1)),
        *((n * 1000, f"good {n}") for n in range(50, 0, -1)),
        (500, long),
        *((-HOUR - n * 1000, f"new {n}") for n in range(400)),
    )
    report = environment.ship(payload)
    assert decision(report) == (50, 0, {"too_old": 400, "too_long": 1}, {})
    assert report.deferred == {"too_new": 400}
    assert found(stock_loki, tenant, group) == [f"good {n}" for n in range(50, 0, -1)]
    accounted(stock_loki, tenant, environment, payload)


# The window


def test_lines_too_far_behind_are_held_in_the_late_stream(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant)
    assert environment.ship(aged(group, (0, "now"))).delivered == 1
    payload = aged(group, (90 * MINUTE, "a"), (80 * MINUTE, "b"), (30 * MINUTE, "c"))
    assert decision(environment.ship(payload)) == (3, 2, {}, {})
    assert found(stock_loki, tenant, group) == ["a", "b", "c", "now"]
    late = held(stock_loki, tenant, f'{{log_group="{group}", late!=""}}')
    assert [line.line for line in late] == ["a", "b"]
    assert discarded(stock_loki, tenant) == {}


def test_late_lines_of_days_may_come_in_any_order(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    """Loki finds lines of more than some hours only once they are flushed."""
    environment = open_environment(stock_loki, tenant)
    environment.ship(aged(group, (0, "now")))
    for age in (46, 100, 6 * 24 * 60, 70, 125, 3 * 24 * 60, 90, 80, 1_000, 50, 110, 120):
        payload = aged(group, (age * MINUTE, f"{age}"), (age * MINUTE - 1, f"{age} too"))
        assert decision(environment.ship(payload)) == (2, 2, {}, {})
    assert discarded(stock_loki, tenant) == {}
    wanted = [line for age in (125, 120, 110, 100, 90) for line in (f"{age}", f"{age} too")]
    assert found(stock_loki, tenant, group)[-19:-9] == wanted


def test_a_line_that_its_stream_takes_no_longer_goes_to_the_late_stream(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    """A line that is dated ahead moves the window of its stream on for all others."""
    stock_loki.override(tenant, {"creation_grace_period": "2h"})
    environment = open_environment(stock_loki, tenant)
    environment.ship(aged(group, (-90 * MINUTE, "ahead")))
    assert decision(environment.ship(aged(group, (5 * MINUTE, "a"), (0, "b")))) == (2, 2, {}, {})
    assert found(stock_loki, tenant, group) == ["a", "b", "ahead"]
    assert discarded(stock_loki, tenant) == {"too_far_behind": 2}


def test_lines_too_far_behind_for_the_late_stream_are_rejected(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    """So it is where a late stream is longer than half of Loki's `max_chunk_age`."""
    environment = open_environment(stock_loki, tenant, late_minutes=120)
    midnight = now() // DAY * DAY
    # Two hours of the day before yesterday, the younger one first.
    young, old = midnight - DAY - 24 * HOUR + 2 * HOUR - 1, midnight - DAY - 24 * HOUR
    assert environment.ship(timed((young, "young"), log_group=group)).late == 1
    assert environment.ship(timed((old, "old"), log_group=group)).rejected == {"too_far_behind": 1}
    assert environment.kept("rejected/") == ["old"]


def test_a_late_line_that_comes_again_is_held_once(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant)
    environment.ship(aged(group, (0, "now")))
    payload = aged(group, (90 * MINUTE, "a"))
    for _ in range(3):
        assert decision(environment.ship(payload)) == (1, 1, {}, {})
    assert found(stock_loki, tenant, group) == ["a", "now"]


def test_too_old_too_far_behind_and_too_new_in_one_payload(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant)
    environment.ship(aged(group, (0, "now")))
    payload = aged(group, (8 * DAY, "old"), (90 * MINUTE, "late"), (5, "good"), (-HOUR, "new"))
    report = environment.ship(payload)
    assert decision(report) == (2, 1, {"too_old": 1}, {})
    assert report.deferred == {"too_new": 1}
    assert sorted(found(stock_loki, tenant, group)) == ["good", "late", "now"]
    assert (environment.kept("rejected/"), environment.kept("later/")) == (["old"], ["new"])


# Sizes


def test_lines_too_long_are_rejected_and_their_neighbours_are_held(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant, {"MAX_LINE_BYTES": "1048576"})
    payload = aged(group, (3, "a"), (2, "x" * 262_144), (1, "€" * 87_382), (0, "b"))
    assert decision(environment.ship(payload)) == (3, 0, {"too_long": 1}, {})
    assert environment.kept("rejected/") == ["€" * 87_382]
    assert found(stock_loki, tenant, group) == ["a", "x" * 262_144, "b"]


def test_a_push_above_the_limit_of_grpc_is_halved(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant, real_sleep=True)
    environment.settings = replace(environment.settings, max_batch_bytes=10_000_000)
    payload = big(group, 24, 200_000)
    assert decision(environment.ship(payload)) == (24, 0, {}, {})
    assert environment.session.pushes > 2
    accounted(stock_loki, tenant, environment, payload, page=10)


def test_more_labels_than_loki_takes_reject_all(stock_loki: Loki, tenant: str, group: str) -> None:
    tags = {f"tag{n:02}": "x" for n in range(20)}
    environment = open_environment(stock_loki, tenant, {"MAX_LABELS": "30"})
    environment.tags = tags
    assert decision(environment.ship(aged(group, (0, "a")))) == (0, 0, {"labels": 1}, {})
    default = open_environment(stock_loki, tenant)
    default.tags = tags
    assert decision(default.ship(aged(group, (0, "a")))) == (1, 0, {}, {})


def test_our_fifteen_labels_and_the_late_one_are_within_lokis_limit(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant, {"BUILTIN_LABELS": "log_group,source"})
    environment.tags = {f"tag{n:02}": "x" for n in range(20)}
    environment.ship(aged(group, (0, "now")))
    assert decision(environment.ship(aged(group, (90 * MINUTE, "a")))) == (1, 1, {}, {})


# Tenants


@pytest.mark.parametrize("tenant", ["block", "block429"])
def test_a_blocked_tenant_is_errored_at_once(stock_loki: Loki, tenant: str, group: str) -> None:
    environment = open_environment(stock_loki, tenant)
    report = environment.ship(aged(group, (1, "a"), (0, "b")))
    assert decision(report) == (0, 0, {}, {"blocked": 2})
    assert (environment.session.pushes, environment.slept) == (1, [])


def test_a_tenant_that_is_blocked_with_200_looks_delivered(stock_loki: Loki, group: str) -> None:
    report = open_environment(stock_loki, "block200").ship(aged(group, (0, "a")))
    assert decision(report) == (1, 0, {}, {})
    assert found(stock_loki, "block200", group) == []


def test_a_rate_limited_push_is_retried(stock_loki: Loki, group: str) -> None:
    environment = open_environment(stock_loki, "ratel", real_sleep=True)
    payload = big(group, 32, 5_000)
    assert decision(environment.ship(payload)) == (32, 0, {}, {})
    accounted(stock_loki, "ratel", environment, payload)


def test_lines_that_a_rate_limit_refuses_to_the_end_are_kept_in_the_bucket(
    stock_loki: Loki, group: str
) -> None:
    environment = open_environment(stock_loki, "ratel", seconds=20.0)
    payload = big(group, 60, 5_000)
    report = environment.ship(payload)
    assert {*report.errored} <= {"rate_limited"}
    if report.failure is None:
        accounted(stock_loki, "ratel", environment, payload)


@pytest.mark.parametrize("tenant", ["psr", "psr-noshard"])
def test_a_push_above_the_limit_of_a_stream_is_retried(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant, real_sleep=True)
    payload = big(group, 6, 5_000)
    assert decision(environment.ship(payload)) == (6, 0, {}, {})
    accounted(stock_loki, tenant, environment, payload)


def test_lines_of_one_stream_too_many_are_kept_in_the_bucket(stock_loki: Loki, group: str) -> None:
    groups = [f"{group}/{n}" for n in range(3)]
    sandboxes = [open_environment(stock_loki, "streamlim") for _ in groups]
    reports = [
        environment.ship(aged(one, (0, "a")))
        for environment, one in zip(sandboxes, groups, strict=True)
    ]
    assert decision(reports[2]) == (0, 0, {}, {"stream_limit": 1})
    assert reports[2].failure == "not delivered: stream_limit"


def test_lines_of_a_late_stream_too_many_are_kept_in_the_bucket(
    stock_loki: Loki, group: str
) -> None:
    tenant = f"streamlim-{uuid.uuid4().hex}"
    stock_loki.override(tenant, {"max_global_streams_per_user": 1})
    environment = open_environment(stock_loki, tenant)
    environment.ship(aged(group, (0, "now")))
    payload = aged(group, (90 * MINUTE, "a"), (1, "b"))
    assert decision(environment.ship(payload)) == (1, 0, {}, {"stream_limit": 1})
    assert environment.kept("failed/") == ["a"]
    assert sorted(found(stock_loki, tenant, group)) == ["b", "now"]


def test_if_metadata_is_disallowed_lines_are_held_without_it(stock_loki: Loki, group: str) -> None:
    environment = open_environment(stock_loki, "nosm")
    assert decision(environment.ship(aged(group, (1, "a"), (0, "b" * 300_000)))) == (2, 0, {}, {})
    assert environment.session.pushes == 2
    assert decision(environment.ship(aged(group, (0, "c")))) == (1, 0, {}, {})
    assert environment.session.pushes == 3
    assert "".join(found(stock_loki, "nosm", group)) == "a" + "b" * 300_000 + "c"


def test_disallowed_metadata_hides_no_other_refusal(stock_loki: Loki, group: str) -> None:
    environment = open_environment(stock_loki, "nosm")
    payload = aged(group, (8 * DAY, "old"), (0, "good"))
    assert decision(environment.ship(payload)) == (1, 0, {"too_old": 1}, {})


def test_labels_that_an_operator_enforces_reject_all(stock_loki: Loki, group: str) -> None:
    environment = open_environment(stock_loki, "enforced")
    assert decision(environment.ship(aged(group, (0, "a")))) == (0, 0, {"labels": 1}, {})
    environment.tags = {"app": "fun"}
    environment.bucket = {}
    assert decision(environment.ship(aged(group, (0, "a")))) == (1, 0, {}, {})


def test_lines_from_before_the_schema_are_rejected(stock_loki: Loki, group: str) -> None:
    environment = open_environment(stock_loki, "oldok")
    old = timed((1_500_000_000_000, "a"), log_group=group)
    assert decision(environment.ship(old)) == (0, 0, {"no_schema": 1}, {})


@pytest.mark.parametrize("tenant", ["oldshard", "incr"])
def test_other_settings_of_an_operator_cost_no_line(
    stock_loki: Loki, tenant: str, group: str
) -> None:
    environment = open_environment(stock_loki, tenant)
    payload = aged(group, *((n, f"line {n % 3}") for n in range(100)))
    assert decision(environment.ship(payload)) == (100, 0, {}, {})
    accounted(stock_loki, tenant, environment, payload)


def test_lines_stored_before_a_late_answer_are_held_once(stock_loki: Loki, group: str) -> None:
    environment = open_environment(stock_loki, "lat", seconds=1.0)
    payload = aged(group, (0, "a"))
    assert decision(environment.ship(payload)) == (0, 0, {}, {"read_timeout": 1})
    again = open_environment(stock_loki, "lat")
    assert decision(again.ship(payload)) == (1, 0, {}, {})
    assert found(stock_loki, "lat", group) == ["a"]


def test_wrong_tenants_and_paths_are_errored(stock_loki: Loki, group: str) -> None:
    payload = aged(group, (0, "a"))
    nobody = ExecutionEnvironment(stock_loki.url, receiver=None)
    assert decision(nobody.ship(payload)) == (0, 0, {}, {"denied": 1})
    elsewhere = ExecutionEnvironment(stock_loki.url + "/elsewhere", receiver=None)
    assert decision(elsewhere.ship(payload)) == (0, 0, {}, {"status_404": 1})
