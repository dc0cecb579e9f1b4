"""The daily audit takes turns in a large account, and costs little."""

import pytest
from msgspec.structs import replace

from loki_shipper import prices
from loki_shipper.audit.cloudwatch import metrics_of
from loki_shipper.audit.model import AuditedGroup
from loki_shipper.subscriber.request import AuditDue, request
from loki_shipper.subscriber.self_audit import (
    HOURS,
    HOURS_AGO,
    audit_metrics,
    audit_settings,
    groups_of_day,
)
from tests.conftest import AUDIT

DAY = 86_400_000


def groups(count: int) -> list[AuditedGroup]:
    return [AuditedGroup(f"/ecs/{number}", 0) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 1_000])
def test_up_to_1000_log_groups_are_audited_every_day(count: int) -> None:
    assert groups_of_day(groups(count), 5 * DAY) == groups(count)


@pytest.mark.parametrize(("count", "days"), [(1_001, 2), (13_000, 13)])
def test_in_a_large_account_each_log_group_has_its_day(count: int, days: int) -> None:
    parts = [groups_of_day(groups(count), (100 + day) * DAY) for day in range(days)]
    assert max(map(len, parts)) <= 1_000
    assert {each.name for part in parts for each in part} == {each.name for each in groups(count)}


def test_the_metrics_of_1000_log_groups_cost_less_than_a_dollar_a_month() -> None:
    month = 30 * metrics_of(1_000, by_policy=False) * prices.METRIC_READ.dollars
    # The own log of a million invocations a day is 1.6 GB, and 31 hours of it are read.
    log = 30 * 1.6 * (HOURS + HOURS_AGO) / 24 * prices.LOGS_INSIGHTS_GB.dollars
    assert (round(month, 2), round(log, 2)) == (0.60, 0.31)
    assert month + log < 1


def test_the_daily_schedule_asks_for_an_audit() -> None:
    assert request({"action": "audit"}) == AuditDue()


def test_its_metrics_have_a_value_also_if_nothing_is_missing() -> None:
    report = replace(AUDIT, audited=4, compared=3, rejected=2, waiting=1)
    assert [*audit_metrics(report)] == [
        ("LinesMissing", "Count", 0),
        ("LogGroupsAudited", "Count", 3),
    ]


@pytest.mark.parametrize(("missing", "measured"), [(0, False), (2, True)])
def test_an_audit_that_could_compare_nothing_does_not_say_that_nothing_is_missing(
    *, missing: int, measured: bool
) -> None:
    names = [name for name, _, _ in audit_metrics(replace(AUDIT, compared=0, missing=missing))]
    assert ("LinesMissing" in names, "LogGroupsAudited" in names) == (measured, True)


def test_an_audit_without_log_groups_misses_nothing() -> None:
    found = [*audit_metrics(replace(AUDIT, audited=0, compared=0))]
    assert ("LinesMissing", "Count", 0) in found


def test_its_logs_are_those_of_the_functions_that_ship() -> None:
    found = audit_settings({"SHIPPER_LOGS": "/a,/b", "REDRIVER_LOGS": "/c"})
    assert (found.function_logs.shippers, found.function_logs.redrivers) == (("/a", "/b"), ("/c",))
