"""Prints `status` as text: one line for each log group, and no broken names."""

from collections.abc import Iterator
from datetime import UTC, datetime
from textwrap import wrap

from msgspec import Struct
from rich.text import Text

from loki_shipper.cli.canary_status import CanaryStatus, canary_text
from loki_shipper.cli.filter_metrics import Delivery, Redrives
from loki_shipper.cli.formatting import ago_text
from loki_shipper.model import Pairs

_TITLES = ("log group", "linked", "last", "lines", "errors", "labels")
_NUMBERS = {3, 4}
_NARROWEST = 24
"""With fewer columns than these, labels go to lines of their own."""


class StatusRow(Struct, frozen=True, kw_only=True):
    """One log group; `since` and `last` are in ms since 1970."""

    group: str
    linked: bool
    note: str
    since: int | None
    labels: Pairs
    delivery: Delivery


class Backlog(Struct, frozen=True):
    """The objects that wait in the bucket.

    `more` tells that there may be more of them. `oldest` is when the oldest was written, in ms
    since 1970. `fault` is the error code if S3 did not list the bucket.
    """

    objects: int = 0
    more: bool = False
    oldest: int | None = None
    rejected: int = 0
    fault: str = ""


class LogFilesBacklog(Struct, frozen=True):
    """The messages about log files: that wait, that a function has, and that failed for good.

    `buckets` names the buckets. `fault` is the error code if SQS did not say it.
    """

    buckets: str
    waiting: int = 0
    shipping: int = 0
    dead: int = 0
    fault: str = ""


class Status(Struct, frozen=True):
    """The status of a deployment.

    `stopped` tells that `unlink --all` stopped it. `backlog` is None if there is no bucket, and
    `log_files` if it reads none. `redrives` is None if no redriver ran within a day, and
    `canary` if there is no canary.
    """

    rows: list[StatusRow]
    stopped: bool
    backlog: Backlog | None
    redrives: Redrives | None
    log_files: LogFilesBacklog | None = None
    canary: CanaryStatus | None = None


def status_text(status: Status, now: int, width: int | None) -> Iterator[Text]:
    """Return the lines to print, for a `width` in columns or None for one line a log group.

    `now` is in ms since 1970.
    """
    if status.stopped:
        yield Text("stopped: `unlink --all` unlinked everything; run `loki-shipper link --all`")
    yield from _table(status.rows, now, width)
    if status.backlog is not None:
        yield Text(f"bucket: {_waiting(status.backlog, now)}")
    if status.log_files is not None:
        yield Text(f"log files of {status.log_files.buckets}: {_messages(status.log_files)}")
    yield Text(f"last redrive: {_redriven(status.redrives, now)}")
    if status.canary is not None:
        yield Text(canary_text(status.canary, now))


def _table(rows: list[StatusRow], now: int, width: int | None) -> Iterator[Text]:
    cells = [_TITLES[:-1], *(_cells(row, now) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = None if width is None else width - sum(widths) - 2 * len(widths)
    for line in _row(_TITLES[:-1], widths, _TITLES[-1], room):
        yield Text(line, style="bold")
    for row, values in zip(rows, cells[1:], strict=True):
        style = "" if row.linked and not row.note else "yellow"
        details = [row.note, *(f"{name}={value}" for name, value in row.labels)]
        text = " ".join(filter(None, details))
        for line in _row(values, widths, text, room):
            yield Text(line.rstrip(), style=style)


def _row(
    values: tuple[str, ...], widths: list[int], details: str, room: int | None
) -> Iterator[str]:
    if room is None:
        yield _joined(values, widths) + details
    elif room >= _NARROWEST:
        first, *others = _folded(details, room) or [""]
        yield _joined(values, widths) + first
        yield from (" " * (sum(widths) + 2 * len(widths)) + line for line in others)
    else:
        name, *measured = values
        yield name
        yield "  " + _joined(tuple(measured), widths[1:])
        yield from (f"  {line}" for line in _folded(details, room + sum(widths)))


def _folded(text: str, width: int) -> list[str]:
    return wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False)


def _cells(row: StatusRow, now: int) -> tuple[str, ...]:
    measured = row.delivery
    linked = ago_text(row.since, now) if row.since is not None else "yes" if row.linked else "no"
    errors = measured.errors + measured.throttled
    return row.group, linked, ago_text(measured.last, now), f"{measured.lines:,}", f"{errors:,}"


def _joined(values: tuple[str, ...], widths: list[int]) -> str:
    # A narrow terminal has the log group on a line of its own, so its width is missing.
    begin = len(_TITLES) - 1 - len(widths)
    return "".join(
        f"{value:>{width}}  " if place in _NUMBERS else f"{value:<{width}}  "
        for place, (value, width) in enumerate(zip(values, widths, strict=True), begin)
    )


def _waiting(backlog: Backlog, now: int) -> str:
    if backlog.fault:
        return f"it could not be listed ({backlog.fault})"
    more = " or more" if backlog.more else ""
    parts = []
    if backlog.objects:
        objects = "object waits" if backlog.objects == 1 and not more else "objects wait"
        age = ago_text(backlog.oldest, now)
        parts.append(f"{backlog.objects:,}{more} {objects}, the oldest written {age}")
    else:
        parts.append("nothing waits")
    if backlog.rejected:
        refused = f"{backlog.rejected:,}{more} under rejected/"
        parts.append(f"{refused} (loki-shipper redrive --rejected)")
    return "; ".join(parts)


def _messages(backlog: LogFilesBacklog) -> str:
    if backlog.fault:
        return f"the queue could not be read ({backlog.fault})"
    waiting = f"{backlog.waiting:,} wait in the queue" if backlog.waiting else "none waits"
    parts = [waiting, f"{backlog.shipping:,} being shipped"]
    if backlog.dead:
        parts.append(f"{backlog.dead:,} failed for good (loki-shipper redrive --log-files)")
    return ", ".join(parts)


def _redriven(redrives: Redrives | None, now: int) -> str:
    if redrives is None:
        return "none in the last 24 hours"
    counts = f"{redrives.objects:,} objects shipped, {redrives.left:,} left"
    return f"{ago_text(redrives.last, now)}, {counts}"


def clock_line(now: int) -> Text:
    """Return the line above each status of `--watch`; `now` is in ms since 1970."""
    return Text(f"{datetime.fromtimestamp(now / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC", style="dim")
