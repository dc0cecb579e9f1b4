"""Ships the first lines of all log groups that have some."""

import zlib
from collections.abc import Iterator

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.filters.apply import Failed
from loki_shipper.subscriber.first_lines.catch_up import catch_up
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup, rate_limited
from loki_shipper.subscriber.memory import CaughtUp, GroupState
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, remember
from loki_shipper.subscriber.run.run_state import RunState

_MAX_FAILURES = 3
"""Failures in a row after which the rest waits for the next run: Loki is probably down."""


def ship_first_lines(run: RunState, deps: SubscriberDependencies) -> None:
    """Ship the first lines that are due, until time is up or the shipper failed three times.

    Lines that cannot be shipped now stay due for the next run. Raises AwsError, ConflictError.
    """
    failures = 0
    due = {} if run.stopped else run.due
    try:
        for name, state in _ordered(due, deps.clock.now()):
            if failures == _MAX_FAILURES:
                break
            try:
                caught_up = _catch_up(name, state, deps)
            except AwsError as error:
                failures += _count_failure(name, error, run)
            else:
                failures = 0
                if caught_up is not None:
                    run.add_catch_up(name, caught_up)
    finally:
        if due:
            remember(run.first_lines_update(), deps)


def _ordered(due: dict[str, GroupState], now: int) -> Iterator[tuple[str, GroupState]]:
    """Give log groups with an effective filter first, in a different order in each run.

    In a fixed order, three log groups that Loki always refuses, such as those of a forbidden
    tenant, would come first in each run, and the run would never reach the others.
    """

    def key(each: tuple[str, GroupState]) -> tuple[int, int]:
        name, state = each
        until = state.effective_at
        assert until is not None
        return max(until, now), zlib.crc32(f"{now} {name}".encode())

    return iter(sorted(due.items(), key=key))


def _catch_up(name: str, state: GroupState, deps: SubscriberDependencies) -> CaughtUp | None:
    until, ours = state.effective_at, state.filters.ours
    pattern = deps.settings.filter_pattern if ours is None else ours.pattern
    return catch_up(
        state,
        FilteredGroup(deps.settings.origin.account, name, deps.settings.filter_name),
        read=lambda start, end: deps.aws.events(
            name, start=start, end=end, pattern=pattern, ingested_before=until
        ),
        ship=rate_limited(deps.aws.ship, deps.clock),
        clock=deps.clock,
    )


def _count_failure(name: str, error: AwsError, run: RunState) -> int:
    """Add a failure to the run and return 1, or 0 if the log group was deleted."""
    if error.kind == "gone":
        run.add_gone(name)
        return 0
    run.add_other(Failed(name, error.code, f"its first lines wait: {error}", "first_lines"))
    return 1
