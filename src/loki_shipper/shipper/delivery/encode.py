r"""From a batch to the body of a push: protobuf in a snappy block.

The protobuf (`local/logproto.proto`) is written by hand: half the time of the library, and
nothing to import at a cold start (docs/decisions/protobuf.md).
"""

from collections.abc import Sequence

from cramjam import snappy

from loki_shipper.model import Batch, Entry, Pairs
from loki_shipper.shipper.entries.columns import Columns, has_one_width, protobuf
from loki_shipper.shipper.entries.protobuf import (
    NANOS_BYTES,
    field,
    nanos_bytes,
    pairs,
    timestamp_without_nanos,
    varint,
)

_SECOND = 1_000_000_000
_ROOM = 16
"""Bytes, more than a tag and any length take."""


def encode(batch: Batch) -> bytes:
    """Encode a batch as Loki's PushRequest, one stream in it, the same bytes for the same batch."""
    match batch.entries:
        case Columns() as columns if has_one_width(columns):
            entries = protobuf(columns)
        case plain:
            entries = _one_by_one(plain)
    labels = field(1, label_set(batch.stream.labels).encode())
    # Room for the stream's tag and length, so that a megabyte is not copied to put them before it.
    entries[:0] = [b"\0" * _ROOM, labels]
    message = bytearray().join(entries)
    tag = b"\x0a" + varint(len(message) - _ROOM)
    begin = _ROOM - len(tag)
    message[begin:_ROOM] = tag
    return bytes(snappy.compress_raw(memoryview(message)[begin:]))


def _one_by_one(entries: Sequence[Entry]) -> list[bytes]:
    """Write entries as fields of a stream, in pieces."""
    pieces: list[bytes] = []
    second, timestamp = -1, b""
    known: Pairs | None = None
    metadata = b""
    encoded: dict[int, bytes] = {}
    for entry in entries:
        # Neighbours share the second, and those that say the same share one tuple of metadata.
        seconds, nanos = divmod(entry.timestamp, _SECOND)
        if seconds != second:
            second, timestamp = seconds, timestamp_without_nanos(seconds)
        if entry.metadata is not known:
            known = entry.metadata
            if id(known) not in encoded:
                encoded[id(known)] = pairs(known)
            metadata = encoded[id(known)]
        line = entry.line.encode()
        length = varint(len(line))
        size = len(timestamp) + NANOS_BYTES + 1 + len(length) + len(line) + len(metadata)
        pieces += (
            b"\x12",
            varint(size),
            timestamp,
            nanos_bytes(nanos),
            b"\x12",
            length,
            line,
            metadata,
        )
    return pieces


def label_set(labels: Pairs) -> str:
    r"""Write labels as Loki reads them; only `\`, `"` and newline are escaped.

    >>> label_set((("app", 'say "hi"'), ("env", "prod")))
    '{app="say \\"hi\\"", env="prod"}'
    """
    return "{" + ", ".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
