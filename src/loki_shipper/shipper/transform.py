"""From log events to entries: what a line says, when, and with which structured metadata."""

from collections.abc import Iterator
from operator import attrgetter

from msgspec import Struct

from loki_shipper.model import Entry, LogData, LogEvent, Pairs
from loki_shipper.settings import Settings

_MS = 1_000_000
_PARTS = 16
_CALL = 10_000
_SPREAD = _MS - _CALL * _PARTS
_ID_DIGITS = 56
_TOP_BITS, _CONTINUATION = 0xC0, 0x80
"""In UTF-8 each byte of a character but the first is 10xxxxxx."""


class Transformed(Struct, frozen=True):
    """Entries in ascending time, and how many log events were dropped, by reason."""

    entries: list[Entry]
    dropped: dict[str, int]


def transform(data: LogData, metadata: Pairs, settings: Settings) -> Transformed:
    """Turn each log event into an entry, a long one into several, an empty one into none."""
    shared = metadata if settings.structured_metadata else ()
    limit = settings.max_line_bytes
    entries: list[Entry] = []
    empty = 0
    for ordinal, event in enumerate(data.log_events):
        line = event.message.removesuffix("\n")
        when = event.timestamp * _MS + offset(event, ordinal)
        # No character takes more than four bytes.
        if len(line) * 4 > limit and len(line.encode()) > limit:
            entries.extend(_long(event, line, when, shared, settings))
        elif line:
            entries.append(Entry(when, line, shared, event))
        else:
            empty += 1
    entries.sort(key=attrgetter("timestamp"))
    return Transformed(entries, {"empty": empty} if empty else {})


def offset(event: LogEvent, ordinal: int) -> int:
    """Give an event's place within its millisecond, in ns, as a pure function of its id.

    An id of CloudWatch Logs is 56 digits: the event's ms, then 64 bits of ingestion ms, 64 random
    bits of the PutLogEvents call, and 16 bits of index in it (undocumented, seen on real ids). So
    the events of a call keep their order, calls are spread, and a redelivery falls on the same
    nanosecond, where Loki folds it. Ids of another shape: the ordinal in the payload. Places are
    16 ns apart, to leave room for the parts of a long line; a call has at most 10,000 events.
    """
    number = int(event.id) if _is_aws_id(event.id) else 0
    if number >> 144 != event.timestamp or not number:
        return min(ordinal * _PARTS, _MS - _PARTS)
    return (number >> 16) % _SPREAD + (number & 0xFFFF) % _CALL * _PARTS


def _is_aws_id(event_id: str | int) -> bool:
    return isinstance(event_id, str) and len(event_id) == _ID_DIGITS and event_id.isdecimal()


def _long(
    event: LogEvent, line: str, when: int, shared: Pairs, settings: Settings
) -> Iterator[Entry]:
    limit = settings.max_line_bytes
    match settings.long_lines:
        case "truncate":
            yield Entry(when, _truncated(line, limit), shared, event)
        case "split":
            parts = list(_split(line.encode(), limit))
            for number, part in enumerate(parts, 1):
                numbered = ("part", f"{number}/{len(parts)}")
                metadata = (
                    tuple(sorted((*shared, numbered))) if settings.structured_metadata else ()
                )
                yield Entry(when + min(number, _PARTS) - 1, part, metadata, event)


def _split(encoded: bytes, limit: int) -> Iterator[str]:
    start = 0
    while start < len(encoded):
        end = min(start + limit, len(encoded))
        # Step back from the middle of a character.
        while end < len(encoded) and encoded[end] & _TOP_BITS == _CONTINUATION:
            end -= 1
        yield encoded[start:end].decode()
        start = end


def _truncated(line: str, limit: int) -> str:
    marker = f"… [truncated from {len(line.encode())} bytes]"
    return next(_split(line.encode(), limit - len(marker.encode()))) + marker
