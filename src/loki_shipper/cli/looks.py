"""Looks into Loki again and again, and hands over what is new."""

from collections.abc import Callable

import click
from msgspec import Struct

from loki_shipper.cli.arrivals import Arrival, Arrivals
from loki_shipper.cli.errors import InputError, NotDeliveredError
from loki_shipper.cli.loki_lines import Get, QueryError, read_lines
from loki_shipper.cli.pipe import reader_is_gone
from loki_shipper.clock import Clock

NS_PER_MS = 1_000_000
AHEAD_MS = 600_000
"""Loki takes lines that are ten minutes ahead of its clock (`creation_grace_period`), in ms."""

_LOOK_BACK = 300_000
"""How far back every tenth look goes, in ms: lines that are as late as that are still seen."""

_RECENT = 30_000
"""How far back the other looks go, in ms."""

_FEW = 10


class Source(Struct, frozen=True):
    """Where lines are read: Loki's answers to a stream selector, of which `name` is the place.

    `fixed` names labels that are the same for all.
    """

    name: str
    get: Get
    selector: str
    fixed: frozenset[str]


class Looks(Struct, frozen=True):
    """When Loki is asked: `begin` and `end` are in ms since 1970, `every` is in seconds."""

    clock: Clock
    begin: int
    end: float
    every: float

    def start(self, number: int, now: int) -> int:
        """Give from when on a look reads, in ms since 1970."""
        if number == 0:
            return min(self.begin, oldest(now))
        return now - _RECENT if number % _FEW else oldest(now)


def oldest(now: int) -> int:
    """Give from when on each tenth look reads, in ms since 1970; no later look goes back more."""
    return now - _LOOK_BACK


type Show = Callable[[list[Arrival], int, int], None]
"""Shows what is new in Loki; then come from when on it was read and now, in ms since 1970."""


def follow(source: Source, looks: Looks, show: Show) -> None:
    """Read from Loki again and again, and show what is new, until the end."""
    arrivals, number, trouble = Arrivals(), 0, ""
    while True:
        now = looks.clock.now()
        start = looks.start(number, now)
        try:
            lines, is_more = read_lines(
                source.get, source.selector, start * NS_PER_MS, (now + AHEAD_MS) * NS_PER_MS
            )
            said = "Loki has more lines than are read at once: narrow them with --tag or --since"
            trouble = _say(said if is_more else "", trouble)
            now = looks.clock.now()
            new = arrivals.new(lines, now, oldest(now))
            show([each for each in new if _is_meant(each, looks.begin)], start, now)
        except QueryError as error:
            if number == 0 or not error.may_pass:
                raise _failed(source, error) from None
            trouble = _say(f"{error}: trying again", trouble)
        if now >= looks.end or reader_is_gone():
            return
        looks.clock.sleep(max(0.0, min(looks.every, (looks.end - now) / 1000)))
        number += 1


def _is_meant(arrival: Arrival, begin: int) -> bool:
    """Leave out what was there before the time that was asked for."""
    return arrival.delay is not None or arrival.line.timestamp >= begin * NS_PER_MS


def _say(said: str, before: str) -> str:
    """Say something on stderr, once as long as it holds."""
    if said and said != before:
        click.echo(said, err=True)
    return said


def _failed(source: Source, error: QueryError) -> click.ClickException:
    if error.may_pass:
        advice = (
            f"check that {source.name} is Loki and can be reached from here; `doctor` says more"
        )
        return NotDeliveredError(f"{error}: {advice}")
    return InputError(f"{error}")
