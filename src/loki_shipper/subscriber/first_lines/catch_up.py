"""Ships the first lines of one log group: those from before its filter or policy was effective."""

from collections.abc import Callable, Iterator

from loki_shipper.clock import Clock, wait_until
from loki_shipper.model import LogEvent
from loki_shipper.subscriber.first_lines.payloads import (
    FilteredGroup,
    ShipLogData,
    payloads,
    text_bytes,
)
from loki_shipper.subscriber.memory import CaughtUp, GroupState

# PutLogEvents takes lines that are up to 14 days old, and up to two hours ahead of the clock.
_PAST_MS = 14 * 86_400_000
_AHEAD_MS = 2 * 3_600_000

_MAX_LINES = 100_000
_MAX_BYTES = 100_000_000
_MAX_MS = 300_000
"""Limits for one log group, so that it fits into a run; `backfill` has none."""

_SHIP_SECONDS = 60
"""Seconds that an invocation of the shipper may take beyond a run's own reserve of 60 seconds.

Both together are the default of `Timeout`. The shipper uses all of it while Loki is down.
"""

type ReadEvents = Callable[[int, int], Iterator[list[tuple[str, LogEvent]]]]
"""Reads pages of log events with their log streams, from a time to before another, in ms."""


def catch_up(
    state: GroupState,
    group: FilteredGroup,
    *,
    read: ReadEvents,
    ship: ShipLogData,
    clock: Clock,
) -> CaughtUp | None:
    """Ship the lines that a log group's filter or policy may have missed; None if time ran out.

    Waits until the filter or policy is effective. The log events keep their ids, so that Loki
    folds those that were delivered too. Raises AwsError.
    """
    until = state.effective_at
    assert until is not None
    if not wait_until(until, clock):
        return None
    began = clock.now()
    lines = size = 0
    for page in read(state.created - _PAST_MS, until + _AHEAD_MS):
        for data in payloads(page, group):
            if clock.remaining() < _SHIP_SECONDS:
                return None
            if lines >= _MAX_LINES or size >= _MAX_BYTES or clock.now() - began >= _MAX_MS:
                return CaughtUp(lines, complete=False)
            ship(data)
            lines += len(data.log_events)
            size += text_bytes(data)
    return CaughtUp(lines, complete=True)
