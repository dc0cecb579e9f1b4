"""Moves late entries of a batch to late streams.

Loki refuses an entry that is more than half of `max_chunk_age` (an hour) older than the newest
entry of its stream. If Loki has divided the stream into shards, it answers 204 and drops the entry
(docs/decisions/late.md). So an old entry goes to a late stream: the same labels and one more,
`late`, which names the span of time in which the entry was logged. All entries of a late stream lie
within that span, so Loki takes them in any order.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby, takewhile

from loki_shipper.loki_names import LATE
from loki_shipper.model import Batch, Entry, Stream

_MINUTE = 60 * 1_000_000_000
_WEEK = 7 * 24 * 60 * _MINUTE
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def split_late(batch: Batch, *, now: int, minutes: int) -> list[Batch]:
    """Divide a batch: one batch for each late stream, then the entries that are not late.

    An entry is late when it is one and a half times `minutes` older than `now`, which is in ns
    since 1970. A batch of a late stream stays whole.
    """
    entries = batch.entries
    before = now - minutes * _MINUTE * 3 // 2
    if entries[0].timestamp >= before or is_late(batch.stream):
        return [batch]
    late = len([*takewhile(lambda entry: entry.timestamp < before, entries)])
    rest = [Batch(batch.stream, entries[late:])] if late < len(entries) else []
    return [*as_late(Batch(batch.stream, entries[:late]), now=now, minutes=minutes), *rest]


def as_late(batch: Batch, *, now: int, minutes: int) -> Iterator[Batch]:
    """Move all entries of a batch to late streams, one batch for each span of `minutes`."""
    span = minutes * _MINUTE

    def start(entry: Entry) -> int:
        return entry.timestamp // span * span

    for begin, entries in groupby(batch.entries, start):
        label = (LATE, late_label(begin, now=now, minutes=minutes))
        labels = tuple(sorted((*batch.stream.labels, label)))
        yield Batch(Stream(batch.stream.tenant, labels), [*entries])


def late_label(begin: int, *, now: int, minutes: int) -> str:
    """Give the value of `late` for the span that begins at `begin`, in ns since 1970.

    The value is the weekday and the time in UTC, such as `Sat 10:30`, so half an hour gives at most
    336 values. A span that is older than a week has the date instead, `2026-11-07 10:30`, so that
    it shares no stream with a span of this week. Stock Loki refuses lines that old.
    """
    when = datetime.fromtimestamp(begin // 1_000_000_000, UTC)
    is_this_week = now - begin < _WEEK - minutes * _MINUTE
    day = _DAYS[when.weekday()] if is_this_week else f"{when:%Y-%m-%d}"
    return f"{day} {when:%H:%M}"


def is_late(stream: Stream) -> bool:
    """Tell whether a stream is a late stream."""
    return any(name == LATE for name, _ in stream.labels)
