"""Splits or truncates lines that are longer than Loki takes."""

from collections.abc import Iterator
from itertools import groupby

from msgspec.structs import replace

from loki_shipper.model import Entry, Pairs
from loki_shipper.settings import Settings

_TOP_BITS, _CONTINUATION = 0xC0, 0x80
"""In UTF-8, each byte of a character except the first is 10xxxxxx."""


def shorten(entry: Entry, settings: Settings) -> list[Entry]:
    """Return the parts of an entry, a nanosecond apart, or the truncated entry."""
    limit = settings.max_line_bytes
    match settings.long_lines:
        case "truncate":
            return [replace(entry, line=_truncated(entry.line, limit))]
        case "split":
            lines = [*_split(entry.line.encode(), limit)]
            return [
                replace(
                    entry,
                    timestamp=entry.timestamp + place,
                    line=line,
                    metadata=_numbered(entry.metadata, place + 1, len(lines))
                    if settings.structured_metadata
                    else (),
                )
                for place, line in enumerate(lines)
            ]


def without_overlap(entries: list[Entry]) -> list[Entry]:
    """Return entries in order of time, with each line behind the last part of the line before.

    Loki keeps only one of the entries with the same time and text, so parts of two lines must not
    mix.
    """
    lines = [[*parts] for _, parts in groupby(entries, key=lambda entry: id(entry.event))]
    lines.sort(key=lambda parts: parts[0].timestamp)
    moved: list[Entry] = []
    free = 0
    for parts in lines:
        shift = max(0, free - parts[0].timestamp)
        moved += [replace(part, timestamp=part.timestamp + shift) for part in parts]
        free = moved[-1].timestamp + 1
    return moved


def _numbered(metadata: Pairs, number: int, count: int) -> Pairs:
    return tuple(sorted((*metadata, ("part", f"{number}/{count}"))))


def _split(encoded: bytes, limit: int) -> Iterator[str]:
    start = 0
    while start < len(encoded):
        end = min(start + limit, len(encoded))
        # Step back to the first byte of a character.
        while end < len(encoded) and encoded[end] & _TOP_BITS == _CONTINUATION:
            end -= 1
        yield encoded[start:end].decode()
        start = end


def _truncated(line: str, limit: int) -> str:
    marker = f"… [truncated from {len(line.encode())} bytes]"
    return next(_split(line.encode(), limit - len(marker.encode()))) + marker
