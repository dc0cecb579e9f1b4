r"""From a batch to the body of a push: protobuf in a snappy block.

The protobuf (`local/logproto.proto`) is written by hand: half the time of the library, and
nothing to import at a cold start (docs/decisions/protobuf.md). A message is a run of fields; a
field is its tag (number and kind in a byte), then a varint, or a length as a varint and so many
bytes.
"""

from functools import lru_cache

import snappy

from loki_shipper.model import Batch, Pairs

_SECOND = 1_000_000_000
_NANOS_BYTES = 5


def encode(batch: Batch) -> bytes:
    """Encode a batch as Loki's PushRequest, one stream in it, the same bytes for the same batch."""
    stream = [_field(1, label_set(batch.stream.labels).encode())]
    second, timestamp = -1, b""
    known: Pairs | None = None
    metadata = b""
    encoded: dict[int, bytes] = {}
    for entry in batch.entries:
        # Neighbours share the second, and those that say the same share one tuple of metadata.
        seconds, nanos = divmod(entry.timestamp, _SECOND)
        if seconds != second:
            second, timestamp = seconds, _timestamp_without_nanos(seconds)
        if entry.metadata is not known:
            known = entry.metadata
            if id(known) not in encoded:
                encoded[id(known)] = b"".join(map(_metadata, known))
            metadata = encoded[id(known)]
        line = entry.line.encode()
        length = _varint(len(line))
        size = len(timestamp) + _NANOS_BYTES + 1 + len(length) + len(line) + len(metadata)
        stream += (
            b"\x12",
            _varint(size),
            timestamp,
            # A varint may be padded; at a fixed width it needs no loop.
            bytes(
                (
                    nanos & 127 | 128,
                    nanos >> 7 & 127 | 128,
                    nanos >> 14 & 127 | 128,
                    nanos >> 21 & 127 | 128,
                    nanos >> 28,
                )
            ),
            b"\x12",
            length,
            line,
            metadata,
        )
    return bytes(snappy.compress(_field(1, b"".join(stream))))


def label_set(labels: Pairs) -> str:
    r"""Write labels as Loki reads them; only `\`, `"` and newline are escaped.

    >>> label_set((("app", 'say "hi"'), ("env", "prod")))
    '{app="say \\"hi\\"", env="prod"}'
    """
    return "{" + ", ".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _timestamp_without_nanos(seconds: int) -> bytes:
    """Write the timestamp field up to the nanos, which are always `_NANOS_BYTES` long."""
    inside = b"\x08" + _varint(seconds) + b"\x10"
    return b"\x0a" + _varint(len(inside) + _NANOS_BYTES) + inside


@lru_cache(maxsize=4096)
def _metadata(pair: tuple[str, str]) -> bytes:
    name, value = pair
    return _field(3, _field(1, name.encode()) + _field(2, value.encode()))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


@lru_cache(maxsize=4096)
def _varint(number: int) -> bytes:
    """Write seven bits a byte, the lowest first; all but the last byte have the top bit set."""
    out = bytearray()
    while number > 127:  # noqa: PLR2004 - seven bits
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
