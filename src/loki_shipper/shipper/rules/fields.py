"""What a line says as JSON: just the keys that are asked for, and what their values mean."""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from msgspec import DecodeError, defstruct
from msgspec.json import Decoder, encode
from msgspec.structs import astuple

from loki_shipper.shipper.rules.parse import Field, Fields

EARLIEST_MS = -24 * 3600 * 1000
LATEST_MS = 10 * 60 * 1000
"""How far from a log event's own time a field may set it: agents hold lines back for hours, while
what lies ahead can but be a wrong clock, and Loki refuses more than these minutes of it."""

MAX_VALUE_BYTES = 2048
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_MS = (1_000, 1, 1e-3, 1e-6)
_MOST_NS = 1e19

type Values = tuple[Any, ...]
"""What a line has for the keys that were asked for, None where it has none; empty: no JSON."""


def keys_of(fields: Iterable[Field]) -> tuple[str, ...]:
    """List the keys of a line that may lead to these fields."""
    return tuple(dict.fromkeys(key for field in fields for key, _ in field.ways))


@cache
def reader(keys: tuple[str, ...]) -> Callable[[str], Values]:
    """Make what reads these keys of a line; the others cost no more than a glance."""
    names = {f"f{index}": key for index, key in enumerate(keys)}
    wanted = defstruct("Wanted", [(name, Any, None) for name in names], rename=names, gc=False)
    decode = Decoder(wanted).decode

    def read(text: str) -> Values:
        if text.startswith("{"):
            try:
                return astuple(decode(text))
            except (DecodeError, RecursionError):
                pass
        return ()

    return read


def finder(fields: Fields, keys: tuple[str, ...]) -> Callable[[Values], Any]:
    """Make what finds the first of these fields that is there, among the values of keys."""
    ways = [(keys.index(key), rest) for field in fields for key, rest in field.ways]

    def find(values: Values) -> Any:
        if values:
            for index, rest in ways:
                value = values[index]
                if rest is not None:
                    value = _within(value, rest)
                if value is not None:
                    return value
        return None

    return find


def _within(value: Any, field: Field) -> Any:
    if not isinstance(value, dict):
        return None
    for key, rest in field.ways:
        found = value.get(key)
        if rest is not None:
            found = _within(found, rest)
        if found is not None:
            return found
    return None


def as_text(value: Any) -> str:
    """Write a value as text: a text as it is, others as JSON does."""
    return value if isinstance(value, str) else encode(value).decode()


def clean(value: str) -> str:
    """Give a value that Loki takes for labels and metadata: at most 2,048 bytes, no U+FFFD."""
    if value.isascii() and len(value) <= MAX_VALUE_BYTES:
        return value
    encoded = value.encode("utf-8", "replace").replace(b"\xef\xbf\xbd", b"?")
    return encoded[:MAX_VALUE_BYTES].decode("utf-8", "ignore")


def as_time(value: Any, near: int) -> int | None:
    """Give the time, in ms since 1970, that a value means; None where none is `near` enough.

    A text is ISO 8601, in UTC where it names no zone. A number is of the unit, from seconds to
    nanoseconds, that brings it near; at most one does.
    """
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        value = float(value)
    match value:
        case bool():
            times = []
        case int() | float() if abs(value) < _MOST_NS:
            times = [math.floor(value * unit) for unit in _UNITS_MS]
        case str():
            times = [*_iso(value)]
        case _:
            times = []
    return next((time for time in times if EARLIEST_MS <= time - near <= LATEST_MS), None)


def _iso(text: str) -> Iterator[int]:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return
    aware = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    yield (aware - _EPOCH) // timedelta(milliseconds=1)
