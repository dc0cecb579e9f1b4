"""A log group's past, read and shipped half an hour after half an hour."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs

from loki_shipper.subscriber.first_lines.catch_up import Read
from loki_shipper.subscriber.first_lines.payload import FilteredGroup, payloads
from loki_shipper.subscriber.first_lines.shipping import ShipLogData

_STEP_MS = 1_800_000
"""What is done between two looks at how far it has come: so much is repeated after a stop."""


class Span(Struct, frozen=True):
    """From a time to before another, in ms since 1970."""

    start: int
    end: int


class Progress(Struct, frozen=True):
    """What is done up to `until`, in ms since 1970, in lines.

    The other counts are among the `lines`, as the shipper reports them. Lines that are `deferred`
    or `errored` are in the bucket, from where the redriver ships them.
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
        """Give the lines that Loki holds."""
        return self.lines - self.dropped - self.rejected - self.deferred - self.errored


def backfill(
    span: Span, origin: FilteredGroup, *, read: Read, ship: ShipLogData
) -> Iterator[Progress]:
    """Ship a span of time step by step, and say after each how far it has come.

    A step may be repeated: Loki folds what it has. Raises AwsError; then what is said to be done is
    done, and nothing of the rest is kept anywhere.
    """
    progress = Progress(span.start)
    while progress.until < span.end:
        end = min(span.end, progress.until + _STEP_MS)
        for page in read(progress.until, end):
            for data in payloads(page, origin):
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
