"""A length of time as people write it for an option."""

import re
from datetime import timedelta
from typing import Any, override

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Length(click.ParamType[timedelta]):
    """A length of time such as `30s`, `5m`, `1h` or `2d`; `units` are those that it may have."""

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


AGE = Length("mhd", "90m, 12h or 2d")
"""How long ago something may have been."""
