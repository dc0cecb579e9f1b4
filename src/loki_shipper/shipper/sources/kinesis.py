"""Unpacks records that the Kinesis Producer Library (KPL) has put together into one."""

import hashlib
from collections.abc import Iterator
from typing import Final

from loki_shipper.shipper.sources.decode import UndecodableError

MAGIC: Final = b"\xf3\x89\x9a\xc2"
"""First bytes of an aggregated record
(https://github.com/awslabs/amazon-kinesis-producer/blob/master/aggregation-format.md)."""

_DIGEST_BYTES: Final = 16
_RECORDS: Final = 3
_DATA: Final = 3
_BROKEN: Final = "the aggregated record is broken"


def disaggregate(data: bytes) -> list[bytes]:
    """Return the data of each record in an aggregated one; data without `MAGIC` is one record.

    The format is `MAGIC`, a protobuf message, and the message's MD5. The message's field 3 repeats
    for each record, and the record's field 3 is its data. Raises UndecodableError.
    """
    if not data.startswith(MAGIC):
        return [data]
    message, digest = data[len(MAGIC) : -_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    if hashlib.md5(message, usedforsecurity=False).digest() != digest:
        raise UndecodableError(_BROKEN)
    return [
        content
        for record in _byte_fields(message, _RECORDS)
        for content in _byte_fields(record, _DATA)
    ]


def _byte_fields(message: bytes, wanted: int) -> Iterator[bytes]:
    """Read the values of one field of bytes in a protobuf message, and pass over other fields."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        match tag & 7:
            case 0:
                _, place = _varint(message, place)
            case 2:
                size, place = _varint(message, place)
                if place + size > len(message):
                    raise UndecodableError(_BROKEN)
                if tag >> 3 == wanted:
                    yield message[place : place + size]
                place += size
            case _:
                raise UndecodableError(_BROKEN)


def _varint(message: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while place < len(message):
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the top bit says that another byte follows
            return number, place
        shift += 7
    raise UndecodableError(_BROKEN)
