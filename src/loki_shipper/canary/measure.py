"""One run of the canary: writes a line, and looks in Loki for it and for those of earlier runs."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.canary.lines import Arrived, CanaryLine, Journey, Sent, journeys
from loki_shipper.clock import Clock
from loki_shipper.emf import Metric

REMEMBERED_MS: Final = 86_400_000
"""Age of the oldest line that a run still looks for, in ms."""

LATE_MS: Final = 120_000
"""Age in ms from which a line of an earlier run is missing if Loki does not return it.

It is longer than a run takes: the run that wrote a younger line may still be looking for it.
"""

_PAUSES: Final = (0.5, 0.5, 1, 1, 1, 1, 2, 2, 2, 4, 5, 5, 5)
"""Seconds between the queries of a run, half a minute in all. Most lines arrive within seconds."""


class QueryFault(Struct, frozen=True):
    """The reason why Loki could not be asked; it has no secret."""

    reason: str


class CanaryEffects(Struct, frozen=True):
    """The effects of a run.

    `read` gives the lines of the log group from a time on, and `write` adds lines to it; both raise
    AwsError. `find` gives the ids of the lines from a time on that Loki returns. Times are in ms
    since 1970.
    """

    read: Callable[[int], list[CanaryLine]]
    write: Callable[[Sequence[CanaryLine]], None]
    find: Callable[[int], frozenset[str] | QueryFault]
    clock: Clock


class CanaryReport(Struct, frozen=True):
    """The lines that a run found first, and the number of lines that are missing.

    `missing` counts lines of the last 24 hours that earlier runs wrote and that Loki does not
    return. It is at least 1 if the run could not write its own line. `fault` is the reason why the
    run could not do its work.
    """

    arrived: tuple[Journey, ...] = ()
    missing: int = 0
    fault: str | None = None


def measure(run: str, effects: CanaryEffects) -> CanaryReport:
    """Write the line of this run, and wait for it for half a minute."""
    now = effects.clock.now()
    try:
        before = journeys(effects.read(now - REMEMBERED_MS))
        effects.write([CanaryLine(now, Sent(run))])
    except AwsError as error:
        return CanaryReport(missing=1, fault=f"the log group: {error.code or error.kind}")
    late = [each for each in before if each.seconds is None and now - each.at >= LATE_MS]
    arrived, fault = _await([*late, Journey(run, now)], effects)
    try:
        _write_arrivals(arrived, effects)
    except AwsError as error:
        # The next run finds these lines again.
        fault = f"the log group: {error.code or error.kind}"
    found = {each.run for each in arrived}
    missing = sum(each.run not in found for each in late)
    return CanaryReport(tuple(arrived), missing, fault)


def metrics(report: CanaryReport) -> Iterator[Metric]:
    """Give the metric of a run: its name, CloudWatch unit and value."""
    yield "CanaryLinesMissing", "Count", report.missing


def arrival_metrics(seconds: float) -> Iterator[Metric]:
    """Give the metric of a line that has arrived."""
    yield "EndToEndSeconds", "Seconds", seconds


def _await(waiting: Sequence[Journey], effects: CanaryEffects) -> tuple[list[Journey], str | None]:
    """Ask Loki until it returns the newest of these lines, or half a minute is over.

    Returns the lines that it returned, and the fault of the last query.
    """
    arrived: dict[str, Journey] = {}
    own, since = waiting[-1], min(each.at for each in waiting)
    for pause in (*_PAUSES, 0.0):
        answer = effects.find(since)
        match answer:
            case QueryFault():
                pass
            case found:
                now = effects.clock.now()
                arrived = {
                    each.run: Journey(each.run, each.at, (now - each.at) / 1000)
                    for each in waiting
                    if each.run in found
                } | arrived
        if own.run in arrived or effects.clock.remaining() <= pause:
            break
        effects.clock.sleep(pause)
    return [*arrived.values()], answer.reason if isinstance(answer, QueryFault) else None


def _write_arrivals(arrived: Sequence[Journey], effects: CanaryEffects) -> None:
    now = effects.clock.now()
    lines = [
        CanaryLine(now, Arrived(each.run, each.seconds))
        for each in arrived
        if each.seconds is not None
    ]
    if lines:
        effects.write(lines)
