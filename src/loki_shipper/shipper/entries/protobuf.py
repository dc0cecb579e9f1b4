"""Writes protobuf: a field is a tag (number and type in one byte), then its content.

The content is a varint, or a length as a varint and that many bytes.
"""

from functools import lru_cache

NANOS_BYTES = 5


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes."""
    return bytes((number << 3 | 2,)) + varint(len(content)) + content


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    """Return seven bits a byte, the lowest first; each byte except the last has the top bit set."""
    out = bytearray()
    while number > 127:  # noqa: PLR2004 - seven bits
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def timestamp_without_nanos(seconds: int) -> bytes:
    """Return a timestamp, field 1, up to its nanoseconds, which always have `NANOS_BYTES`."""
    inside = b"\x08" + varint(seconds) + b"\x10"
    return b"\x0a" + varint(len(inside) + NANOS_BYTES) + inside


def nanos_bytes(nanos: int) -> bytes:
    """Return nanoseconds as a varint of a fixed width, padded, which needs no loop."""
    return bytes(
        (
            nanos & 127 | 128,
            nanos >> 7 & 127 | 128,
            nanos >> 14 & 127 | 128,
            nanos >> 21 & 127 | 128,
            nanos >> 28,
        )
    )


def pairs(metadata: tuple[tuple[str, str], ...]) -> bytes:
    """Return structured metadata, each pair as field 3."""
    return b"".join(map(_pair, metadata))


@lru_cache(maxsize=4096)
def _pair(pair: tuple[str, str]) -> bytes:
    name, value = pair
    return field(3, field(1, name.encode()) + field(2, value.encode()))
