"""A log group's past, read and shipped half an hour after half an hour."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from loki_shipper.shipper.pack import pack
from loki_shipper.subscriber.catch_up import Read, Ship
from loki_shipper.subscriber.payload import WINDOW_MS, Origin, payloads


class Span(Struct, frozen=True):
    """From a time to before another, in ms since 1970."""

    start: int
    end: int


class Progress(Struct, frozen=True):
    """What is done up to `until`, in ms since 1970, in lines.

    `rejected` and `late` are among the `lines`, as the shipper reports them.
    """

    until: int
    lines: int = 0
    late: int = 0
    rejected: int = 0


def backfill(span: Span, origin: Origin, *, read: Read, ship: Ship) -> Iterator[Progress]:
    """Ship a span of time in order, and say after each step how far it has come.

    A step may be repeated: Loki folds what it has. A span that is done should not be, as Loki takes
    nothing more than an hour behind the newest entry of a stream. Raises AwsError.
    """
    progress = Progress(span.start)
    while progress.until < span.end:
        end = min(span.end, (progress.until // WINDOW_MS + 1) * WINDOW_MS)
        for page in read(progress.until, end):
            for data in payloads(page, origin):
                report = ship({"awslogs": {"data": pack(data)}})
                progress = _added(progress, len(data.log_events), report)
        progress = Progress(end, progress.lines, progress.late, progress.rejected)
        yield progress


def _added(progress: Progress, lines: int, report: dict[str, Any]) -> Progress:
    return Progress(
        progress.until,
        progress.lines + lines,
        progress.late + report.get("late", 0),
        progress.rejected + sum(report.get("rejected", {}).values()),
    )
