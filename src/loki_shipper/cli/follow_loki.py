"""Queries Loki again and again, and hands over the new lines."""

from collections.abc import Callable

import click
from msgspec import Struct

from loki_shipper.cli.arrivals import Arrival, Arrivals
from loki_shipper.cli.closed_pipe import stdout_is_closed
from loki_shipper.cli.errors import InputError, NotDeliveredError
from loki_shipper.cli.formatting import NS_PER_MS
from loki_shipper.cli.loki_lines import Get, QueryError, read_lines
from loki_shipper.clock import Clock

AHEAD_MS = 600_000
"""Loki takes lines that are ten minutes ahead of its clock (`creation_grace_period`), in ms."""

_LONG_WINDOW = 300_000
"""How far back every tenth query goes, in ms: it finds lines that are up to so late."""

_SHORT_WINDOW = 30_000
"""How far back the other queries go, in ms."""

_LONG_EVERY = 10


class LokiQuery(Struct, frozen=True):
    """A stream selector, and how to query it; `host` is Loki's, for messages.

    `fixed_labels` names labels that have the same value in all streams of the deployment.
    """

    host: str
    get: Get
    selector: str
    fixed_labels: frozenset[str]


class PollSchedule(Struct, frozen=True):
    """When to query: `begin` and `end` are in ms since 1970, `interval` is in seconds."""

    clock: Clock
    begin: int
    end: float
    interval: float

    def start(self, number: int, now: int) -> int:
        """Return the start of a query's window, in ms since 1970."""
        if number == 0:
            return min(self.begin, oldest(now))
        return now - _SHORT_WINDOW if number % _LONG_EVERY else oldest(now)


def oldest(now: int) -> int:
    """Return the start of the longest window, in ms since 1970; no later query goes back more."""
    return now - _LONG_WINDOW


type ShowArrivals = Callable[[list[Arrival], int, int], None]
"""Shows the new lines of a query; then come the start of its window and now, in ms since 1970."""


def follow_loki(query: LokiQuery, schedule: PollSchedule, show: ShowArrivals) -> None:
    """Query Loki and show the new lines, until the schedule ends or the reader of stdout is gone.

    Raises InputError or NotDeliveredError if the first query fails, or no retry can help.
    """
    arrivals, number, warning = Arrivals(), 0, ""
    while True:
        now = schedule.clock.now()
        start = schedule.start(number, now)
        try:
            lines, is_more = read_lines(
                query.get, query.selector, start * NS_PER_MS, (now + AHEAD_MS) * NS_PER_MS
            )
            too_many = "Loki has too many lines for one query: use --tag or --since to get fewer"
            warning = _warn(too_many if is_more else "", warning)
            now = schedule.clock.now()
            new = arrivals.new(lines, now, oldest(now))
            show([each for each in new if _is_wanted(each, schedule.begin)], start, now)
        except QueryError as error:
            if number == 0 or not error.may_pass:
                raise _failed(query, error) from None
            warning = _warn(f"{error}: trying again", warning)
        if now >= schedule.end or stdout_is_closed():
            return
        schedule.clock.sleep(max(0.0, min(schedule.interval, (schedule.end - now) / 1000)))
        number += 1


def _is_wanted(arrival: Arrival, begin: int) -> bool:
    """Tell whether a line arrived while we watched, or is of the time that you asked for."""
    return arrival.delay is not None or arrival.line.timestamp >= begin * NS_PER_MS


def _warn(warning: str, previous: str) -> str:
    """Print a warning on stderr unless it is the previous one, and return it."""
    if warning and warning != previous:
        click.echo(warning, err=True)
    return warning


def _failed(query: LokiQuery, error: QueryError) -> click.ClickException:
    if error.may_pass:
        return NotDeliveredError(
            f"{error}: check that {query.host} is Loki and that this machine can reach it; "
            "`loki-shipper doctor` says more"
        )
    return InputError(f"{error}")
