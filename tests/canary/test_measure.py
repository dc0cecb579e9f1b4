"""One run of the canary, on a simulated clock: what it writes, finds and reports."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.canary.lines import Arrived, CanaryLine, Journey, Sent, journeys
from loki_shipper.canary.measure import (
    LATE_MS,
    REMEMBERED_MS,
    CanaryEffects,
    CanaryReport,
    QueryFault,
    measure,
    metrics,
)
from loki_shipper.clock import Clock
from loki_shipper.template import read_template
from tests.drill.cloud import alarmed

NOON = 1_700_000_000_000
MINUTE = 60_000

type Arrives = Callable[[CanaryLine, int], bool]


def after(seconds: float) -> Arrives:
    return lambda line, now: now - line.at >= seconds * 1000


def never(_line: CanaryLine, _now: int) -> bool:
    return False


class Simulation(Struct):
    """A log group, a Loki and a clock. `arrives` tells whether Loki has a line at a time."""

    arrives: Arrives
    now: int = NOON
    lines: list[CanaryLine] = []
    until: int = NOON + 10**12
    fault: QueryFault | None = None
    read_error: AwsError | None = None
    queries: int = 0

    def run(self, name: str) -> CanaryReport:
        clock = Clock(lambda: self.now, self.sleep, lambda: (self.until - self.now) / 1000)
        return measure(name, CanaryEffects(self.read, self.write, self.find, clock))

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1000)

    def read(self, since: int) -> list[CanaryLine]:
        if self.read_error is not None:
            raise self.read_error
        return [line for line in self.lines if line.at >= since]

    def write(self, lines: Sequence[CanaryLine]) -> None:
        self.lines = [*self.lines, *lines]

    def find(self, since: int) -> frozenset[str] | QueryFault:
        self.queries += 1
        if self.fault is not None:
            return self.fault
        return frozenset(
            line.content.run
            for line in self.lines
            if line.at >= since and isinstance(line.content, Sent) and self.arrives(line, self.now)
        )


def test_a_line_that_arrives_is_measured_and_noted() -> None:
    simulation = Simulation(after(3))
    assert simulation.run("a") == CanaryReport((Journey("a", NOON, 3.0),))
    assert simulation.now == NOON + 3_000, "a run ends with the arrival of its line"
    assert [line.content for line in simulation.lines] == [Sent("a"), Arrived("a", 3.0)]


def test_a_run_waits_half_a_minute_and_no_longer() -> None:
    simulation = Simulation(never)
    assert simulation.run("a") == CanaryReport()
    assert simulation.now == NOON + 30_000
    assert [line.content for line in simulation.lines] == [Sent("a")]


def test_a_run_ends_before_the_invocation_does() -> None:
    simulation = Simulation(never, until=NOON + 3_000)
    simulation.run("a")
    assert simulation.now < NOON + 3_000


def test_a_line_that_did_not_arrive_is_missing_in_the_next_run() -> None:
    simulation = Simulation(never)
    simulation.run("a")
    simulation.now = NOON + 5 * MINUTE
    simulation.arrives = lambda line, _: line.content == Sent("b")
    report = simulation.run("b")
    assert (report.missing, [each.run for each in report.arrived]) == (1, ["b"])


def test_after_an_outage_of_hours_each_late_line_is_measured_once() -> None:
    simulation = Simulation(never)
    for number in range(36):
        simulation.now = NOON + number * 5 * MINUTE
        assert simulation.run(str(number)).missing == number
    simulation.arrives = after(0)
    simulation.now = NOON + 3 * 60 * MINUTE
    report = simulation.run("back")
    assert report.missing == 0
    assert {each.run: each.seconds for each in report.arrived} == {
        **{str(number): (36 - number) * 300.0 for number in range(36)},
        "back": 0.0,
    }
    simulation.now += 5 * MINUTE
    assert [each.run for each in simulation.run("next").arrived] == ["next"]


def test_a_late_line_counts_from_when_it_was_seen_first() -> None:
    simulation = Simulation(never)
    simulation.run("late")
    simulation.now = NOON + 5 * MINUTE
    simulation.arrives = lambda line, now: line.at == NOON or now - line.at >= 2_000
    report = simulation.run("new")
    assert {each.run: each.seconds for each in report.arrived} == {"late": 300.0, "new": 2.0}


def test_new_lines_arrive_while_the_old_ones_still_wait_in_the_bucket() -> None:
    simulation = Simulation(never)
    simulation.run("old")
    simulation.arrives = lambda line, _: line.at > NOON
    simulation.now = NOON + 5 * MINUTE
    report = simulation.run("new")
    assert (report.missing, [each.run for each in report.arrived]) == (1, ["new"])


def test_a_line_that_never_arrives_is_given_up_after_a_day() -> None:
    simulation = Simulation(never)
    simulation.run("lost")
    simulation.arrives = lambda line, _: line.at > NOON
    simulation.now = NOON + REMEMBERED_MS
    assert simulation.run("last look").missing == 1
    simulation.now = NOON + REMEMBERED_MS + 1
    assert simulation.run("later").missing == 0


def test_the_line_of_a_run_that_may_still_wait_is_not_missing() -> None:
    simulation = Simulation(never, lines=[CanaryLine(NOON - LATE_MS + 1, Sent("at once"))])
    assert simulation.run("a").missing == 0


def test_two_runs_that_find_the_same_late_line_count_it_once() -> None:
    lines = [
        CanaryLine(NOON, Sent("a")),
        CanaryLine(NOON + 300_100, Arrived("a", 300.1)),
        CanaryLine(NOON + 300_000, Arrived("a", 300.0)),
    ]
    assert journeys(lines) == [Journey("a", NOON, 300.0)]


def test_without_its_log_group_a_run_reports_a_missing_line_and_the_reason() -> None:
    gone = AwsError("gone", "ResourceNotFoundException")
    simulation = Simulation(after(0), read_error=gone)
    report = simulation.run("a")
    assert report == CanaryReport(missing=1, fault="the log group: ResourceNotFoundException")
    assert simulation.queries == 0


def test_a_loki_that_refuses_queries_is_named_and_its_lines_are_missing() -> None:
    refused = QueryFault("Loki refuses")
    simulation = Simulation(after(0), fault=refused)
    assert simulation.run("a") == CanaryReport(fault="Loki refuses")
    simulation.now = NOON + 5 * MINUTE
    assert simulation.run("b") == CanaryReport(missing=1, fault="Loki refuses")


def test_a_fault_that_passes_within_the_run_is_none() -> None:
    simulation = Simulation(after(2), fault=QueryFault("busy"))

    def recover(line: CanaryLine, now: int) -> bool:
        return now - line.at >= 2_000

    simulation.arrives = recover
    find = simulation.find

    class Recovering(Struct):
        """Answers from the third query on."""

        def __call__(self, since: int) -> frozenset[str] | QueryFault:
            if simulation.queries == 2:
                simulation.fault = None
            return find(since)

    clock = Clock(lambda: simulation.now, simulation.sleep, lambda: 100.0)
    effects = CanaryEffects(simulation.read, simulation.write, Recovering(), clock)
    report = measure("a", effects)
    assert (report.fault, [each.seconds for each in report.arrived]) == (None, [2.0])


def test_the_alarm_is_raised_in_an_outage_and_ends_with_the_last_line() -> None:
    alarm = read_template()["Resources"]["CanaryMissing"]["Properties"]
    start = datetime.fromtimestamp(NOON / 1000, UTC)
    down, up, redriven, end = (start + timedelta(hours=hours) for hours in (1, 3, 3.5, 5))
    simulation = Simulation(never)

    def arrives(line: CanaryLine, now: int) -> bool:
        sent, asked = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (line.at, now))
        is_up = not down <= asked < up
        return is_up and (not down <= sent < up or asked >= redriven)

    simulation.arrives = arrives
    series = []
    for number in range(5 * 12):
        simulation.now = NOON + number * 5 * MINUTE
        report = simulation.run(str(number))
        at = datetime.fromtimestamp(simulation.now / 1000, UTC)
        series += [(at, float(value)) for _, _, value in metrics(report)]
    raised = alarmed(alarm, {("LokiShipper", "CanaryLinesMissing"): series}, start, end)
    assert down + timedelta(minutes=10) <= raised[0] <= down + timedelta(minutes=20)
    assert timedelta(0) <= redriven - raised[-1] <= timedelta(minutes=1)
    assert len(raised) == (raised[-1] - raised[0]) / timedelta(minutes=1) + 1


@pytest.mark.parametrize("missing", [0, 3])
def test_each_run_reports_the_number_of_missing_lines(missing: int) -> None:
    assert [*metrics(CanaryReport(missing=missing))] == [("CanaryLinesMissing", "Count", missing)]
