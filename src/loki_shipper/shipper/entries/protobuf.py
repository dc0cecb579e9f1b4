"""How protobuf is written: a field is its tag (number and kind in a byte), then its content.

The content is a varint, or a length as a varint and so many bytes.
"""

from functools import lru_cache

NANOS_BYTES = 5


def field(number: int, content: bytes) -> bytes:
    """Write a field of bytes."""
    return bytes((number << 3 | 2,)) + varint(len(content)) + content


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    """Write seven bits a byte, the lowest first; all but the last byte have the top bit set."""
    out = bytearray()
    while number > 127:  # noqa: PLR2004 - seven bits
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def timestamp_without_nanos(seconds: int) -> bytes:
    """Write a timestamp, field 1, up to its nanoseconds, which are always `NANOS_BYTES` long."""
    inside = b"\x08" + varint(seconds) + b"\x10"
    return b"\x0a" + varint(len(inside) + NANOS_BYTES) + inside


def nanos_bytes(nanos: int) -> bytes:
    """Write nanoseconds as a varint of a fixed width, which may be padded and needs no loop."""
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
    """Write structured metadata, each pair as field 3."""
    return b"".join(map(_pair, metadata))


@lru_cache(maxsize=4096)
def _pair(pair: tuple[str, str]) -> bytes:
    name, value = pair
    return field(3, field(1, name.encode()) + field(2, value.encode()))
