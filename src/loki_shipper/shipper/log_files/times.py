"""Reads the time of a line, in ms since 1970, quickly.

Lines of one file come in the order of time, so the text of a second is parsed once and remembered.
Each function gives None for a text that holds no time.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import DecodeError, defstruct
from msgspec.json import Decoder

type TimeOf = Callable[[str], int | None]
"""Gives the time of a line."""

_SECOND = len("2026-11-20T20:22:42")
_MS_DIGITS = 3
_UNITS = ((1e11, 1000.0), (1e14, 1.0), (1e17, 1e-3), (1e20, 1e-6))
"""Numbers below the first are in a unit with so many ms: s, ms, us, ns."""

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_CLF = re.compile(r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})")


@lru_cache(maxsize=4096)
def _second(text: str) -> int | None:
    """Give the time of `2026-11-20T20:22:42`, UTC; `T` may be any character."""
    try:
        return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000
    except ValueError:
        return None


def iso(text: str) -> int | None:
    """Read ISO 8601 with seconds, in UTC if it names no zone."""
    second = _second(text[:_SECOND]) if len(text) >= _SECOND else None
    rest = text[_SECOND:]
    if second is None or not rest or rest == "Z":
        return second
    digits = len(rest) - len(rest[1:].lstrip("0123456789")) if rest[0] in ".," else 0
    zone = rest[digits:]
    ms = int(rest[1:digits].ljust(_MS_DIGITS, "0")[:_MS_DIGITS]) if digits > 1 else 0
    return second + ms if zone in ("", "Z") else _in_zone(second + ms, zone)


@lru_cache(maxsize=64)
def _zone_ms(zone: str) -> int | None:
    try:
        offset = datetime.fromisoformat(f"2000-01-01T00:00:00{zone}").utcoffset()
    except ValueError:
        return None
    return None if offset is None else round(offset.total_seconds()) * 1000


def _in_zone(local: int, zone: str) -> int | None:
    offset = _zone_ms(zone)
    return None if offset is None else local - offset


def epoch(text: str) -> int | None:
    """Read a number of seconds, with or without a fraction."""
    try:
        return int(float(text) * 1000)
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=4096)
def common_log(text: str) -> int | None:
    """Read `10/Nov/2026:09:50:00 +0000`, the time of web servers."""
    found = _CLF.fullmatch(text)
    if found is None:
        return None
    day, month, year, time, zone = found.groups()
    return iso(f"{year}-{_MONTHS.get(month, 0):02}-{day}T{time}{zone}")


def any_time(value: Any) -> int | None:
    """Read a field of JSON: ISO 8601, or a number of s, ms, us or ns as a number or a text."""
    match value:
        case bool():
            return None
        case int() | float():
            return _number(value)
        case str() if value.replace(".", "", 1).isdecimal():
            return _number(float(value))
        case str():
            return iso(value)
        case _:
            return None


def _number(value: float) -> int | None:
    unit = next((unit for below, unit in _UNITS if 0 < value < below), None)
    return None if unit is None else int(value * unit)


def field_of_text(number: int, read: TimeOf, separator: str = " ") -> TimeOf:
    """Give a function that reads the field `number`, from 0, of a line."""
    if number == 0:
        return lambda line: read(line.partition(separator)[0])

    def time_of(line: str) -> int | None:
        fields = line.split(separator, number + 1)
        return read(fields[number]) if len(fields) > number else None

    return time_of


def field_of_json(*paths: str) -> TimeOf:
    """Give a function that reads the first of some fields that a JSON object has.

    `a.b` is `b` inside `a`.
    """
    splits = [path.split(".") for path in paths]
    names = {f"f{n}": name for n, name in enumerate(dict.fromkeys(split[0] for split in splits))}
    # msgspec skips the values of all other fields.
    wanted = defstruct("TimeFields", [(name, Any, None) for name in names], rename=names, gc=False)
    attributes = {name: attribute for attribute, name in names.items()}
    ways = [(attributes[name], rest) for name, *rest in splits]
    decode = Decoder(wanted).decode

    def time_of(line: str) -> int | None:
        try:
            values = decode(line)
        except (DecodeError, RecursionError):
            return None
        return next((time for way in ways if (time := any_time(_value(values, *way)))), None)

    return time_of


def _value(values: Any, attribute: str, rest: list[str]) -> Any:
    value = getattr(values, attribute)
    for name in rest:
        value = value.get(name) if isinstance(value, dict) else None
    return value
