"""Ships what new log groups logged before their lines were delivered."""

import zlib
from collections.abc import Iterator

from loki_shipper.subscriber.apply import Failed
from loki_shipper.subscriber.catch_up import CaughtUp, catch_up, missed_until
from loki_shipper.subscriber.memory import Known
from loki_shipper.subscriber.pace import AwsError
from loki_shipper.subscriber.payload import Origin
from loki_shipper.subscriber.shipping import shipping
from loki_shipper.subscriber.surroundings import Surroundings, remember
from loki_shipper.subscriber.tally import Tally

_PATIENCE = 3
"""Failures in a row after which the rest waits for the next run: Loki is down, most likely."""


def ship_first_lines(tally: Tally, deps: Surroundings) -> None:
    """Ship the first lines that are due, until time is up or the shipper has failed in a row.

    A log group whose lines cannot be shipped now is due again in the next run. Raises AwsError,
    ConflictError.
    """
    failures = 0
    due = {} if tally.stopped else tally.due
    try:
        for name, known in _in_turn(due, deps.clock.now()):
            if failures == _PATIENCE:
                break
            try:
                caught_up = _catch_up(name, known, deps)
            except AwsError as error:
                failures += _count_failure(name, error, tally)
            else:
                failures = 0
                if caught_up is not None:
                    tally.add_catch_up(name, caught_up)
    finally:
        if due:
            remember(tally.lesson_of_first_lines(), deps)


def _in_turn(due: dict[str, Known], now: int) -> Iterator[tuple[str, Known]]:
    """Give log groups whose filter is effective first, in another order in each run.

    Otherwise three log groups that Loki always refuses, for a forbidden tenant say, would come
    first in each run and keep all others waiting.
    """

    def turn(each: tuple[str, Known]) -> tuple[int, int]:
        name, known = each
        until = missed_until(known)
        assert until is not None
        return max(until, now), zlib.crc32(f"{now} {name}".encode())

    return iter(sorted(due.items(), key=turn))


def _catch_up(name: str, known: Known, deps: Surroundings) -> CaughtUp | None:
    until = missed_until(known)
    pattern = (
        deps.settings.filter_pattern if known.filters.ours is None else known.filters.ours.pattern
    )
    return catch_up(
        known,
        Origin(deps.settings.origin.account, name, deps.settings.filter_name),
        read=lambda start, end: deps.aws.events(
            name, start=start, end=end, pattern=pattern, ingested_before=until
        ),
        ship=shipping(deps.aws.ship, deps.clock),
        clock=deps.clock,
    )


def _count_failure(name: str, error: AwsError, tally: Tally) -> int:
    """Count a failure; a log group that is gone is none."""
    if error.kind == "gone":
        tally.add_gone(name)
        return 0
    tally.add_other(Failed(name, error.code, f"its first lines wait: {error}", "first_lines"))
    return 1
