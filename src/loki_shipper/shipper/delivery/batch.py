"""From entries to batches of bounded size."""

from collections.abc import Iterator, Sequence

from loki_shipper.model import Batch, Entry, Pairs, Stream
from loki_shipper.shipper.entries.columns import Columns, cut

_OVERHEAD = 32
"""Most bytes of protobuf around an entry: tags and lengths (11), seconds (7), nanos (6)."""

_LABEL_OVERHEAD = 6
_PAIR_OVERHEAD = 12


def batch(stream: Stream, entries: Sequence[Entry], max_bytes: int) -> Iterator[Batch]:
    """Cut entries into runs of at most `max_bytes` of protobuf, in their order.

    An entry that is larger by itself travels alone.
    """
    # Escaping may double a label's value.
    head = _OVERHEAD + sum(
        size(name) + 2 * size(value) + _LABEL_OVERHEAD for name, value in stream.labels
    )
    if isinstance(entries, Columns):
        for run in cut(entries, _beside, head=head, most=max_bytes):
            yield Batch(stream, run)
        return
    start, total = 0, head
    known: Pairs | None = None
    extra = 0
    sizes: dict[int, int] = {}
    for place, entry in enumerate(entries):
        # Entries that say the same share one tuple, so its size is seldom counted.
        if entry.metadata is not known:
            known = entry.metadata
            extra = sizes.get(id(known)) or sizes.setdefault(id(known), _beside(known))
        weight = size(entry.line) + extra
        if total + weight > max_bytes and place > start:
            yield Batch(stream, entries[start:place])
            start, total = place, head
        total += weight
    if start < len(entries):
        yield Batch(stream, entries[start:])


def size(text: str) -> int:
    """Count the bytes of UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def _beside(metadata: Pairs) -> int:
    """Count the most bytes that an entry has beside its line."""
    texts = "".join([text for pair in metadata for text in pair])
    return size(texts) + _PAIR_OVERHEAD * len(metadata) + _OVERHEAD
