r"""Encodes a batch as the body of a push: protobuf in a snappy block.

This code writes the protobuf (`local/logproto.proto`) by hand: it takes half the time of the
protobuf library, and a cold start imports nothing (docs/decisions/protobuf.md).
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
_PREFIX_BYTES = 16
"""More bytes than a tag and a length can take."""


def encode(batch: Batch) -> bytes:
    """Encode a batch as Loki's PushRequest with one stream; equal batches give equal bytes."""
    match batch.entries:
        case Columns() as columns if has_one_width(columns):
            entries = protobuf(columns)
        case sequence:
            entries = _one_by_one(sequence)
    labels = field(1, label_set(batch.stream.labels).encode())
    # Space for the stream's tag and length: inserting them later would copy a megabyte.
    entries[:0] = [b"\0" * _PREFIX_BYTES, labels]
    message = bytearray().join(entries)
    tag = b"\x0a" + varint(len(message) - _PREFIX_BYTES)
    begin = _PREFIX_BYTES - len(tag)
    message[begin:_PREFIX_BYTES] = tag
    return bytes(snappy.compress_raw(memoryview(message)[begin:]))


def _one_by_one(entries: Sequence[Entry]) -> list[bytes]:
    """Encode entries as fields of a stream."""
    pieces: list[bytes] = []
    second, timestamp = -1, b""
    last: Pairs | None = None
    metadata = b""
    encoded: dict[int, bytes] = {}
    for entry in entries:
        # Neighbours often have the same second, and entries with equal metadata share one tuple.
        seconds, nanos = divmod(entry.timestamp, _SECOND)
        if seconds != second:
            second, timestamp = seconds, timestamp_without_nanos(seconds)
        if entry.metadata is not last:
            last = entry.metadata
            if id(last) not in encoded:
                encoded[id(last)] = pairs(last)
            metadata = encoded[id(last)]
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
    r"""Write labels in LogQL's form; only `\`, `"` and newline are escaped.

    >>> label_set((("app", 'say "hi"'), ("env", "prod")))
    '{app="say \\"hi\\"", env="prod"}'
    """
    return "{" + ", ".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
