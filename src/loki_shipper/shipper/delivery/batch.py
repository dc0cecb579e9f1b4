"""Divides entries into batches of limited size."""

from collections.abc import Iterator, Sequence

from loki_shipper.model import Batch, Entry, Pairs, Stream
from loki_shipper.shipper.entries.columns import Columns, cut

_OVERHEAD = 32
"""The most bytes that protobuf adds to an entry: tags and lengths (11), seconds (7), nanos (6)."""

_LABEL_OVERHEAD = 6
_PAIR_OVERHEAD = 12


def batch(stream: Stream, entries: Sequence[Entry], max_bytes: int) -> Iterator[Batch]:
    """Divide entries, in their order, into batches of at most `max_bytes` of protobuf.

    An entry that is larger than that becomes a batch of its own.
    """
    # Escaping may double a label's value.
    head = _OVERHEAD + sum(
        size(name) + 2 * size(value) + _LABEL_OVERHEAD for name, value in stream.labels
    )
    if isinstance(entries, Columns):
        for run in cut(entries, _size_without_line, head=head, most=max_bytes):
            yield Batch(stream, run)
        return
    start, total = 0, head
    metadata: Pairs | None = None
    extra = 0
    sizes: dict[int, int] = {}
    for position, entry in enumerate(entries):
        # Entries with equal metadata share one tuple, so its size is computed once.
        if entry.metadata is not metadata:
            metadata = entry.metadata
            extra = sizes.get(id(metadata)) or sizes.setdefault(
                id(metadata), _size_without_line(metadata)
            )
        entry_size = size(entry.line) + extra
        if total + entry_size > max_bytes and position > start:
            yield Batch(stream, entries[start:position])
            start, total = position, head
        total += entry_size
    if start < len(entries):
        yield Batch(stream, entries[start:])


def size(text: str) -> int:
    """Give the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _size_without_line(metadata: Pairs) -> int:
    """Give the most bytes that an entry takes in addition to its line."""
    texts = "".join([text for pair in metadata for text in pair])
    return size(texts) + _PAIR_OVERHEAD * len(metadata) + _OVERHEAD
