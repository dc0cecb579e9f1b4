"""The counts of lines by log group and hour."""

import json
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.emf import FunctionLog
from loki_shipper.model import Entry, LogData, LogEvent
from loki_shipper.shipper.delivery.hourly import (
    HOUR_MS,
    HOUR_NS,
    HourlyCount,
    count_hours,
    largest_hourly,
    log_members,
    merge_hourly,
)
from loki_shipper.shipper.delivery.outcome import Settled, Shipped

OLD, NEW = LogEvent("a", HOUR_MS - 1, "old"), LogEvent("b", HOUR_MS, "new")


def data(*events: LogEvent) -> LogData:
    return LogData("DATA_MESSAGE", "1", "/ecs/a", "s", [*events])


def count(
    log_group: str = "/ecs/a", hour: int = 1, received: int = 0, saved: int = 0
) -> HourlyCount:
    return HourlyCount(account="1", log_group=log_group, hour=hour, received=received, saved=saved)


def test_a_payload_is_counted_in_the_hour_of_its_newest_line() -> None:
    shipped = Shipped(data(OLD, NEW), Settled(delivered=1, entries={1: 3}), {"noise": 1})
    assert shipped.hourly() == (
        HourlyCount(
            account="1",
            log_group="/ecs/a",
            hour=1,
            received=2,
            delivered=1,
            dropped=1,
            entries=3,
            reasons={"dropped/noise": 1},
        ),
    )


def test_saved_lines_and_entries_are_counted_in_the_hour_of_their_time() -> None:
    settled = Settled(rejected={"too_old": [NEW]}, errored={"tls": [OLD]}, entries={0: 1})
    first, second = Shipped(data(OLD, NEW), settled).hourly()
    assert (first.hour, first.received, first.rejected, first.saved) == (1, 2, 1, 0)
    assert first.reasons == {"rejected/too_old": 1, "saved/tls": 1}
    assert (second.hour, second.received, second.saved, second.entries) == (0, 0, 1, 1)


def test_a_payload_without_lines_is_not_counted() -> None:
    assert Shipped(data()).hourly() == ()


def test_entries_of_a_tenant_that_a_rule_chose_are_told() -> None:
    settled = Settled(delivered=1, entries={1: 1})
    [ours] = Shipped(data(NEW), settled, tenants=frozenset({"a"}), own_tenant="a").hourly()
    [chosen] = Shipped(data(NEW), settled, tenants=frozenset({"b"}), own_tenant="a").hourly()
    assert (ours.elsewhere, chosen.elsewhere) == (0, 1)


COUNTS = st.builds(
    count, st.sampled_from("abc"), st.integers(0, 2), received=st.integers(0, 9), saved=st.just(1)
)


@given(st.lists(COUNTS), st.integers(1, 4))
def test_no_line_is_lost_when_counts_are_added_up(counts: list[HourlyCount], most: int) -> None:
    def sums(some: Sequence[HourlyCount]) -> tuple[int, int]:
        return sum(each.received for each in some), sum(each.saved for each in some)

    merged = merge_hourly(counts)
    assert len({(each.log_group, each.hour) for each in merged}) == len(merged)
    kept = largest_hourly(merged, most)
    assert sums(counts) == sums(merged) == sums(kept)
    assert len([each for each in kept if each.log_group]) <= most


def test_one_count_stands_in_the_line_of_the_report_and_several_in_lines_of_their_own() -> None:
    one, other = count(), count("/ecs/b")
    assert log_members([one]) == ({"hourly": one}, [])
    assert log_members([one, other]) == ({}, [{"hourly": one}, {"hourly": other}])
    assert log_members([]) == ({}, [])


def test_counts_are_written_whatever_the_level_and_without_zeros(
    capsys: pytest.CaptureFixture[str],
) -> None:
    FunctionLog("loki-shipper", None, "ERROR").write("x", {}, counts={"hourly": count(received=2)})
    line = json.loads(capsys.readouterr().out)
    assert line == {
        "service": "loki-shipper",
        "hourly": {"account": "1", "log_group": "/ecs/a", "hour": 1, "received": 2},
    }


@given(st.lists(st.integers(0, 5 * HOUR_NS)))
def test_each_entry_counts_in_the_hour_of_its_time(times: list[int]) -> None:
    entries = [Entry(time, "line", (), LogEvent("1", 0, "line")) for time in sorted(times)]
    hours = Counter[int]()
    count_hours(hours, entries)
    assert hours == Counter(time // HOUR_NS for time in times)
