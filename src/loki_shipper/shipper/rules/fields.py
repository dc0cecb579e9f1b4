"""Reads fields of JSON lines, and turns their values into texts and times."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from msgspec import DecodeError, defstruct
from msgspec.json import Decoder, encode
from msgspec.structs import astuple

from loki_shipper.shipper.rules.model import Field, Fields

EARLIEST_MS = -24 * 3600 * 1000
LATEST_MS = 10 * 60 * 1000
"""Bounds of a field's time, from the log event's own time.

Agents hold lines back for hours. A later time is a wrong clock, and Loki refuses lines that are
further ahead.
"""

MAX_VALUE_BYTES = 2048
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_MS = (1_000, 1, 1e-3, 1e-6)
_MAX_NS = 1e19
_SECONDS_DIGITS = 10

type Values = tuple[Any, ...]
"""A line's values of a reader's keys, None for a missing key; empty if the line is not JSON."""


class FieldReader:
    """Reads the fields that rules ask for, and parses a line once for all of them.

    Make all finders before the first line is read: each one adds its keys.
    """

    def __init__(self) -> None:
        self._keys: dict[str, int] = {}

    @cached_property
    def read(self) -> Callable[[str], Values]:
        """A function that gives a line's values."""
        return _values_reader(tuple(self._keys))

    def finder(self, fields: Fields) -> Callable[[Values], Any]:
        """Return a function that finds the first of some fields among a line's values."""
        splits = [
            (self._keys.setdefault(key, len(self._keys)), rest)
            for field in fields
            for key, rest in field.splits
        ]

        def find(values: Values) -> Any:
            if values:
                for index, rest in splits:
                    value = values[index]
                    if rest is not None:
                        value = _inside(value, rest)
                    if value is not None:
                        return value
            return None

        return find


@cache
def _values_reader(keys: tuple[str, ...]) -> Callable[[str], Values]:
    # msgspec skips the values of all other keys.
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


def _inside(value: Any, field: Field) -> Any:
    if not isinstance(value, dict):
        return None
    for key, rest in field.splits:
        found = value.get(key)
        if rest is not None:
            found = _inside(found, rest)
        if found is not None:
            return found
    return None


def as_text(value: Any) -> str:
    """Return a string as it is, and any other value as JSON."""
    return value if isinstance(value, str) else encode(value).decode()


def clean(value: str) -> str:
    """Return a value that Loki takes for labels and metadata: at most 2,048 bytes, no U+FFFD."""
    if value.isascii() and len(value) <= MAX_VALUE_BYTES:
        return value
    encoded = value.encode("utf-8", "replace").replace(b"\xef\xbf\xbd", b"?")
    return encoded[:MAX_VALUE_BYTES].decode("utf-8", "ignore")


def as_time(value: Any, near: int) -> int | None:
    """Return the time of a value, in ms since 1970; None if it is out of bounds from `near`.

    A text is ISO 8601, in UTC if it names no zone. A number is in seconds, milliseconds,
    microseconds or nanoseconds: at most one of them gives a time within the bounds.
    """
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        value = float(value)
    match value:
        case bool():
            times = []
        case int() | float() if abs(value) < _MAX_NS:
            times = [math.floor(value * unit) for unit in _UNITS_MS]
        case str():
            times = [*_iso(value)]
        case _:
            times = []
    return next((time for time in times if EARLIEST_MS <= time - near <= LATEST_MS), None)


def as_own_time(value: Any, near: int) -> int | None:
    """Return the time that AWS wrote into a line, as `as_time` does.

    If the value has whole seconds, the result is the moment of that second that is nearest to the
    log event's time. So lines of one second keep the order of their log events.
    """
    found = as_time(value, near)
    if found is None or not _has_whole_seconds(value):
        return found
    return min(max(found, near), found + 999)


def _has_whole_seconds(value: Any) -> bool:
    if isinstance(value, str):
        return "." not in value and (not value.isdecimal() or len(value) <= _SECONDS_DIGITS)
    return isinstance(value, int) and value < 10**_SECONDS_DIGITS


def _iso(text: str) -> Iterator[int]:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return
    aware = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    yield (aware - _EPOCH) // timedelta(milliseconds=1)
