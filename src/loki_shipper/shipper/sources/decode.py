"""Decodes a record into log data: base64, gzip, JSON."""

import json

import pybase64
from isal import isal_zlib
from msgspec import DecodeError, ValidationError
from msgspec.json import Decoder

from loki_shipper.model import LogData


class UndecodableError(Exception):
    """Raised when a record is not log data. The message has the reason and never the record."""


MAX_BYTES = 32 * 1024 * 1024
"""Largest size of a record after gzip: 1 MB of base64 can hold a gigabyte of zeros."""

# isal replaces zlib: with zlib, an invocation takes an eighth longer.
_GZIP = 16 + isal_zlib.MAX_WBITS
_LOG_DATA = Decoder(LogData)


def decode(record: bytes, *, max_bytes: int = MAX_BYTES) -> LogData | None:
    """Return the log data of a record, gzip of JSON; None for a control message.

    An event without a timestamp gets 0. Raises UndecodableError for other content, and for a record
    that unpacks to more than `max_bytes`.
    """
    data = _log_data(_gunzip(record, max_bytes))
    return data if data.message_type == "DATA_MESSAGE" else None


def from_base64(record: str) -> bytes:
    """Return the bytes of base64 text. Raises UndecodableError."""
    try:
        return pybase64.b64decode(record, validate=True)
    except ValueError:
        raise UndecodableError("the record is not base64") from None


def _gunzip(packed: bytes, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = max_bytes
    while packed:
        member = isal_zlib.decompressobj(_GZIP)
        try:
            part = member.decompress(packed, min(room, _size(packed)) + 1)
            if not member.eof and len(part) <= room:
                part += member.decompress(member.unconsumed_tail, room + 1 - len(part))
        except isal_zlib.IsalError:  # type: ignore[misc] # its types make it an instance
            raise UndecodableError("the record is not gzip") from None
        parts.append(part)
        room -= len(part)
        if room < 0:
            raise UndecodableError(f"the record unpacks to more than {max_bytes} bytes")
        if not member.eof:
            raise UndecodableError("the record's gzip is cut short")
        packed = member.unused_data
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _size(packed: bytes) -> int:
    """Return the unpacked size of a gzip file's last member, modulo 2^32, from the file's end.

    A buffer of this size takes half the time of one that grows. Usually there is one member.
    """
    return int.from_bytes(packed[-4:], "little")


def _log_data(text: bytes) -> LogData:
    try:
        try:
            return _LOG_DATA.decode(text)
        except ValidationError:
            return _LOG_DATA.decode(_with_timestamps(text))
        except (DecodeError, UnicodeDecodeError):
            return _LOG_DATA.decode(_without_surrogates(text))
    except ValidationError as error:
        raise UndecodableError(f"the record is not log data: {error}") from None
    except (ValueError, RecursionError):
        raise UndecodableError("the record is not JSON") from None


def _with_timestamps(text: bytes) -> bytes:
    """Write the timestamp 0 into each log event that has none."""
    content = json.loads(text)
    match content:
        case {"logEvents": [*events]}:
            for event in events:
                if isinstance(event, dict) and event.get("timestamp") is None:
                    event["timestamp"] = 0
    return json.dumps(content).encode()


def _without_surrogates(text: bytes) -> bytes:
    """Write JSON again without the lone surrogates that Loki cannot hold."""
    content = json.dumps(json.loads(text.decode("utf-8", "replace")), ensure_ascii=False)
    return content.encode("utf-8", "replace")
