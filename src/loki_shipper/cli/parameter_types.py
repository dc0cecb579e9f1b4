"""Reads the values of options: `KEY=VALUE`, durations and times."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, override

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class KeyValue(click.ParamType[tuple[str, str]]):
    """A pair, written `KEY=VALUE`; the value may be empty and may hold `=`."""

    def __init__(self, what: str, name: str = "KEY=VALUE") -> None:
        self._what = what
        self.name = name

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not (key and equals):
            self.fail(f"{value!r} is not a {self._what}: write {self.name}", param, ctx)
        return key, text


class Duration(click.ParamType[timedelta]):
    """A duration such as `30s`, `5m`, `1h` or `2d`, in one of the `units`."""

    name = "TIME"

    def __init__(self, units: str, examples: str) -> None:
        self._units = units
        self._examples = examples

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(rf"([0-9]{{1,5}})([{self._units}])", value)
        if match is None:
            self.fail(f"{value!r} is not a time: write it like {self._examples}", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


class Time(click.ParamType[int]):
    """A time such as `2026-11-20T10:30:00Z`, in ms since 1970; UTC if it names no time zone."""

    name = "TIME"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time: write it like 2026-11-20T10:30:00Z", param, ctx)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


TAG = KeyValue("tag")
AGE = Duration("mhd", "90m, 12h or 2d")
