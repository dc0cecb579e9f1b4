"""Ships the past of one log group, half an hour of it at a time."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs

from loki_shipper.subscriber.first_lines.catch_up import ReadEvents
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup, ShipLogData, payloads

_STEP_MS = 1_800_000
"""Length of a step, in ms. After a stop, at most one step is shipped again."""


class Span(Struct, frozen=True):
    """From a time to before another, in ms since 1970."""

    start: int
    end: int


class Progress(Struct, frozen=True):
    """The counts of lines up to `until`, in ms since 1970.

    The other counts are parts of `lines`, from the shipper's reports. Lines that are `deferred` or
    `errored` are in the bucket, and the redriver ships them.
    """

    until: int
    lines: int = 0
    late: int = 0
    dropped: int = 0
    rejected: int = 0
    deferred: int = 0
    errored: int = 0

    @property
    def delivered(self) -> int:
        """Give the number of lines that Loki has."""
        return self.lines - self.dropped - self.rejected - self.deferred - self.errored


def backfill(
    span: Span, group: FilteredGroup, *, read: ReadEvents, ship: ShipLogData
) -> Iterator[Progress]:
    """Ship a span of time step by step, and give the progress after each step.

    A step may be repeated, as Loki folds lines that it has. Raises AwsError: then the steps up to
    the last progress are done, and the lines after it are kept nowhere but in the log group.
    """
    progress = Progress(span.start)
    while progress.until < span.end:
        end = min(span.end, progress.until + _STEP_MS)
        for page in read(progress.until, end):
            for data in payloads(page, group):
                progress = _added(progress, len(data.log_events), ship(data))
        progress = structs.replace(progress, until=end)
        yield progress


def _added(progress: Progress, lines: int, report: dict[str, Any]) -> Progress:
    return structs.replace(
        progress,
        lines=progress.lines + lines,
        late=progress.late + report.get("late", 0),
        dropped=progress.dropped + sum(report.get("dropped", {}).values()),
        rejected=progress.rejected + sum(report.get("rejected", {}).values()),
        deferred=progress.deferred + sum(report.get("deferred", {}).values()),
        errored=progress.errored + sum(report.get("errored", {}).values()),
    )
