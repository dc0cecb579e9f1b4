"""From a batch to batches of which each lies within the time that its stream takes.

Loki refuses an entry that is more than half of `max_chunk_age` (an hour) older than the newest
entry of its stream. A stream that Loki has split into shards refuses it without a word: Loki
answers 204 (docs/decisions/late.md). So an entry that is old by the clock goes to a sibling stream
whose `late` label names the span of time that the entry was logged in. All entries of such a stream
lie close together, so none is ever too far behind, in whatever order they come, from whomever.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby, takewhile

from loki_shipper.model import Batch, Entry, Stream
from loki_shipper.settings import LATE

_MINUTE = 60 * 1_000_000_000
_WEEK = 7 * 24 * 60 * _MINUTE
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def split_late(batch: Batch, *, now: int, minutes: int) -> list[Batch]:
    """Cut off the late entries of a batch: a batch for each late stream, then the rest.

    An entry is late when it is one and a half times `minutes` older than `now`, which is in ns
    since 1970. A batch of a late stream stays as it is.
    """
    entries = batch.entries
    before = now - minutes * _MINUTE * 3 // 2
    if entries[0].timestamp >= before or is_late(batch.stream):
        return [batch]
    late = len([*takewhile(lambda entry: entry.timestamp < before, entries)])
    rest = [Batch(batch.stream, entries[late:])] if late < len(entries) else []
    return [*as_late(Batch(batch.stream, entries[:late]), now=now, minutes=minutes), *rest]


def as_late(batch: Batch, *, now: int, minutes: int) -> Iterator[Batch]:
    """Move all entries of a batch to late streams, a batch for each span of `minutes`."""
    span = minutes * _MINUTE

    def start(entry: Entry) -> int:
        return entry.timestamp // span * span

    for begin, entries in groupby(batch.entries, start):
        label = (LATE, late_label(begin, now=now, minutes=minutes))
        labels = tuple(sorted((*batch.stream.labels, label)))
        yield Batch(Stream(batch.stream.tenant, labels), [*entries])


def late_label(begin: int, *, now: int, minutes: int) -> str:
    """Name the span of time that begins at `begin`, in ns since 1970: `Sat 10:30`, in UTC.

    A week has 336 spans of half an hour, so the label has so many values at most. Older spans, that
    stock Loki does not take, have the date in place of the weekday: `2026-11-07 10:30`. So no two
    spans share a stream while lines for both of them may come.
    """
    when = datetime.fromtimestamp(begin // 1_000_000_000, UTC)
    is_this_week = now - begin < _WEEK - minutes * _MINUTE
    day = _DAYS[when.weekday()] if is_this_week else f"{when:%Y-%m-%d}"
    return f"{day} {when:%H:%M}"


def is_late(stream: Stream) -> bool:
    """Tell whether a stream is a late sibling of another."""
    return any(name == LATE for name, _ in stream.labels)
