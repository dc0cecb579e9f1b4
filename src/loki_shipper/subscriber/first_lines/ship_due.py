"""Ships what new log groups logged before their lines were delivered."""

import zlib
from collections.abc import Iterator

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.filters.apply import Failed
from loki_shipper.subscriber.first_lines.catch_up import catch_up
from loki_shipper.subscriber.first_lines.payload import FilteredGroup
from loki_shipper.subscriber.first_lines.shipping import shipping
from loki_shipper.subscriber.memory import CaughtUp, GroupState, missed_until
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, remember
from loki_shipper.subscriber.run.run_state import RunState

_PATIENCE = 3
"""Failures in a row after which the rest waits for the next run: Loki is down, most likely."""


def ship_first_lines(state: RunState, deps: SubscriberDependencies) -> None:
    """Ship the first lines that are due, until time is up or the shipper has failed in a row.

    A log group whose lines cannot be shipped now is due again in the next run. Raises AwsError,
    ConflictError.
    """
    failures = 0
    due = {} if state.stopped else state.due
    try:
        for name, known in _in_turn(due, deps.clock.now()):
            if failures == _PATIENCE:
                break
            try:
                caught_up = _catch_up(name, known, deps)
            except AwsError as error:
                failures += _count_failure(name, error, state)
            else:
                failures = 0
                if caught_up is not None:
                    state.add_catch_up(name, caught_up)
    finally:
        if due:
            remember(state.first_lines_update(), deps)


def _in_turn(due: dict[str, GroupState], now: int) -> Iterator[tuple[str, GroupState]]:
    """Give log groups whose filter is effective first, in another order in each run.

    Otherwise three log groups that Loki always refuses, for a forbidden tenant say, would come
    first in each run and keep all others waiting.
    """

    def turn(each: tuple[str, GroupState]) -> tuple[int, int]:
        name, known = each
        until = missed_until(known)
        assert until is not None
        return max(until, now), zlib.crc32(f"{now} {name}".encode())

    return iter(sorted(due.items(), key=turn))


def _catch_up(name: str, known: GroupState, deps: SubscriberDependencies) -> CaughtUp | None:
    until = missed_until(known)
    pattern = (
        deps.settings.filter_pattern if known.filters.ours is None else known.filters.ours.pattern
    )
    return catch_up(
        known,
        FilteredGroup(deps.settings.origin.account, name, deps.settings.filter_name),
        read=lambda start, end: deps.aws.events(
            name, start=start, end=end, pattern=pattern, ingested_before=until
        ),
        ship=shipping(deps.aws.ship, deps.clock),
        clock=deps.clock,
    )


def _count_failure(name: str, error: AwsError, state: RunState) -> int:
    """Count a failure; a log group that is gone is none."""
    if error.kind == "gone":
        state.add_gone(name)
        return 0
    state.add_other(Failed(name, error.code, f"its first lines wait: {error}", "first_lines"))
    return 1
