"""First lines stay due until they are shipped, or are too old for Loki."""

import json
from typing import Any

import pytest

from loki_shipper.shipper.sources.event import records
from loki_shipper.subscriber.request import GroupsChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.report import RunReport, metrics
from tests.subscriber.fake_aws import FakeAws, configured, error

HOUR, DAY = 3_600, 86_400
SETTINGS = configured(include=("/app/*",))
FIVE = [f"/app/{number}" for number in range(5)]


def run(fake: FakeAws, asked: Any = None, **deps: Any) -> RunReport:
    return respond(asked or Sweep(), fake.dependencies(SETTINGS, **deps))


def new(fake: FakeAws, *names: str) -> None:
    """Make log groups that have a line each from before they can be linked."""
    for name in names:
        fake.group(name, age=30)
        fake.log(name, "s", f"the first of {name}", at=fake.time - 29)


def hours(fake: FakeAws, count: int) -> list[RunReport]:
    """Sweep once an hour."""
    reports = []
    for _ in range(count):
        reports.append(run(fake))
        fake.sleep(HOUR)
    return reports


def given_up(report: RunReport) -> float:
    [value] = [value for name, _, value in metrics(report) if name == "FirstLinesGivenUp"]
    return value


# How long they are due


def test_after_an_outage_of_25_hours_every_log_group_gets_its_first_lines(fake: FakeAws) -> None:
    new(fake, *FIVE)
    fake.refused = lambda _: True
    assert [report.waiting for report in hours(fake, 25)] == [5] * 25
    fake.refused = lambda _: False
    report = run(fake)
    assert (report.caught_up, report.waiting, report.given_up) == (5, 0, [])
    assert fake.lost() == []


def test_lines_too_old_for_loki_are_given_up_once_and_reported(fake: FakeAws) -> None:
    new(fake, *FIVE)
    fake.refused = lambda _: True
    linked = fake.time
    reports = []
    # Stock Loki takes lines for a week.
    while fake.time < linked + 7 * DAY + 60:
        reports += hours(fake, 1)
    assert not any(report.given_up for report in reports)
    assert not any(map(given_up, reports))
    reports = hours(fake, 24)
    assert [report.given_up for report in reports if report.given_up] == [FIVE]
    assert sum(map(given_up, reports)) == 5
    fake.refused = lambda _: False
    report = run(fake)
    assert (report.caught_up, report.given_up, fake.shipped) == (0, [], [])


def test_lines_of_a_deleted_log_group_are_given_up_and_reported(fake: FakeAws) -> None:
    new(fake, *FIVE)
    fake.refused = lambda _: True
    run(fake)
    del fake.groups[FIVE[0]]
    fake.group(FIVE[1], age=5)
    assert run(fake).given_up == FIVE[:2]
    assert run(fake).given_up == []


def test_lines_of_a_log_group_deleted_while_waiting_are_given_up_and_reported(
    fake: FakeAws,
) -> None:
    new(fake, FIVE[0])
    fake.before["FilterLogEvents"] = lambda _: fake.groups.clear()
    report = run(fake, GroupsChanged((FIVE[0],)))
    assert (report.given_up, report.failed, report.waiting) == ([FIVE[0]], [], 0)
    assert run(fake).given_up == []
    assert not fake.memory.groups


def test_a_lost_memory_gives_no_lines_up(fake: FakeAws) -> None:
    new(fake, *FIVE)
    run(fake)
    fake.sleep(8 * DAY)
    fake.objects.clear()
    assert run(fake).given_up == []


def test_first_lines_wait_for_a_run_with_enough_time(fake: FakeAws) -> None:
    new(fake, *FIVE)
    report = run(fake, seconds=50)
    assert (report.put, report.caught_up, report.waiting) == (5, 0, 5)
    assert fake.calls["FilterLogEvents"] == 0
    assert run(fake).caught_up == 5


# While Loki is down


def test_after_three_failures_in_a_row_the_rest_waits(fake: FakeAws) -> None:
    names = [f"/app/{number}" for number in range(40)]
    new(fake, *names)
    fake.refused = lambda _: True
    began = fake.time
    report = run(fake)
    assert fake.calls["Invoke"] == 3
    assert (len(report.failed), report.waiting) == (3, 40)
    assert fake.time - began < 60 + 3 * 112 + 30
    fake.refused = lambda _: False
    assert run(fake).caught_up == 40


@pytest.mark.parametrize("seconds", [50, 61, 65, 90, 119, 125, 150, 240, 300, 420])
def test_no_run_outlives_its_function_while_the_shipper_tries(
    fake: FakeAws, seconds: float
) -> None:
    new(fake, *(f"/app/{number}" for number in range(10)))
    fake.refused = lambda _: True
    began = fake.time
    run(fake, seconds=seconds)
    # A minute is kept back, and Lambda ends what lasts longer.
    assert fake.time - began <= seconds + 60


def test_three_log_groups_that_always_fail_do_not_keep_the_rest_waiting(fake: FakeAws) -> None:
    names = [f"/app/{number}" for number in range(20)]
    new(fake, *names)
    tried: list[str] = []

    def refuse(name: str) -> bool:
        tried.append(name)
        return True

    fake.refused = refuse
    run(fake)
    tried.clear()
    run(fake)
    # Those that a run begins with.
    bad = tried.copy()
    fake.refused = lambda name: name in bad
    hours(fake, 12)
    assert len(bad) == 3
    assert {name for name, _, _ in fake.caught_up} == {*names} - {*bad}


def test_lines_that_are_partly_in_the_bucket_count_as_shipped(fake: FakeAws) -> None:
    new(fake, FIVE[0])
    fake.report = {"errored": {"no_connection": 1}, "failure": None}
    assert run(fake).waiting == 0


def test_a_reported_failure_counts_as_a_failure(fake: FakeAws) -> None:
    new(fake, FIVE[0])
    fake.report = {"failure": "not delivered: denied"}
    report = run(fake)
    assert (report.waiting, report.caught_up) == (1, 0)
    assert "not delivered: denied" in report.failed[0].detail


def test_a_missing_shipper_does_not_mean_a_missing_log_group(fake: FakeAws) -> None:
    def gone(_: Any) -> None:
        raise error("ResourceNotFoundException", "no such function")

    new(fake, FIVE[0])
    fake.before["Invoke"] = gone
    report = run(fake)
    assert (report.waiting, report.given_up) == (1, [])
    assert fake.memory.groups.keys() == {FIVE[0]}


# What they are


def test_reads_once_the_filter_is_effective_and_misses_nothing(fake: FakeAws) -> None:
    fake.effective_after = 60
    new(fake, *FIVE)
    fake.log_every(1)
    put: list[float] = []
    read: list[float] = []
    fake.before["PutSubscriptionFilter"] = lambda _: put.append(fake.time)
    fake.before["FilterLogEvents"] = lambda _: read.append(fake.time)
    run(fake)
    fake.sleep(120)
    assert all(when >= since + 60 for when, since in zip(sorted(read), put, strict=True))
    assert fake.lost() == []


def test_log_groups_wait_for_their_filters_at_the_same_time(fake: FakeAws) -> None:
    names = [f"/app/{number}" for number in range(40)]
    new(fake, *names)
    began = fake.time
    assert run(fake).caught_up == 40
    # 40 filters at four a second, a minute for the last, and 40 times what reading takes.
    assert fake.time - began < 10 + 60 + 15


def test_lines_dated_in_the_future_are_shipped(fake: FakeAws) -> None:
    fake.group(FIVE[0], age=30)
    fake.log(FIVE[0], "s", "ahead", at=fake.time + HOUR, ingested=fake.time - 10)
    run(fake)
    assert [line for *_, line in fake.caught_up] == ["ahead"]


def test_delivered_lines_are_not_shipped_again_after_an_outage(fake: FakeAws) -> None:
    fake.effective_after = 60
    new(fake, FIVE[0])
    fake.refused = lambda _: True
    fake.log_every(10)
    hours(fake, 3)
    fake.refused = lambda _: False
    run(fake)
    assert fake.lost() == []
    assert len(fake.delivered.intersection(fake.caught_up)) <= 1


# How fast, and how many


def sizes(fake: FakeAws) -> list[tuple[float, int]]:
    """When the shipper was invoked with how many bytes of text; filled while runs go on."""
    found: list[tuple[float, int]] = []

    def note(asked: dict[str, Any]) -> None:
        [data] = records(json.loads(asked["Payload"]))
        found.append((fake.time, sum(len(event.message.encode()) for event in data.log_events)))

    fake.before["Invoke"] = note
    return found


def test_the_lines_of_a_log_group_ship_at_one_megabyte_a_second(fake: FakeAws) -> None:
    fake.group(FIVE[0], age=30)
    for number in range(100):
        fake.log(FIVE[0], f"s{number % 7}", "é" * 100_000)
    found = sizes(fake)
    run(fake)
    assert sum(size for _, size in found) == 20_000_000
    for first in range(len(found)):
        total = 0
        for (_, size), (when, _) in zip(found[first:], found[first + 1 :], strict=False):
            total += size
            assert total <= 1_000_000 * (when - found[first][0] + 0.05)
    # It is a pace, not a standstill.
    assert found[-1][0] - found[0][0] < 30


def test_stops_at_the_limit_of_bytes(fake: FakeAws) -> None:
    fake.group(FIVE[0], age=30)
    line = "x" * 200_000
    for _ in range(1000):
        fake.log(FIVE[0], "s", line)
    began = fake.time
    report = run(fake)
    assert report.behind == [FIVE[0]]
    assert 100_000_000 <= sum(len(line) for *_, line in fake.caught_up) <= 110_000_000
    assert fake.time - began < 300
    assert not run(fake).caught_up


@pytest.mark.parametrize("seconds", [840.0])
def test_one_log_group_does_not_take_the_whole_run(fake: FakeAws, seconds: float) -> None:
    fake.group("/app/a", age=30)
    for number in range(20_000):
        fake.log("/app/a", f"s{number}", "x")
    # A payload for each log stream, each of which takes a while.
    fake.before["Invoke"] = lambda _: fake.sleep(0.2)
    began = fake.time
    report = run(fake, seconds=seconds)
    assert report.behind == ["/app/a"]
    assert fake.time - began < 60 + 330
    assert run(fake).behind == []
