"""A new log group's first lines, from before its filter or the account policy was effective."""

from collections.abc import Callable, Iterator

from loki_shipper.clock import Clock, wait_until
from loki_shipper.model import LogEvent
from loki_shipper.subscriber.first_lines.payload import FilteredGroup, payloads, text_bytes
from loki_shipper.subscriber.first_lines.shipping import ShipLogData
from loki_shipper.subscriber.memory import CaughtUp, GroupState, missed_until

_DAY_MS = 86_400_000
# PutLogEvents takes lines that are up to 14 days old, and up to two hours ahead of the clock.
_PAST_MS = 14 * _DAY_MS
_AHEAD_MS = 2 * 3_600_000

_MAX_LINES = 100_000
_MAX_BYTES = 100_000_000
_MAX_MS = 300_000
"""Most that is shipped of one log group, so that it fits into a run; `backfill` has no end."""

_SHIP_SECONDS = 60
"""What an invocation of the shipper may take beyond a run's own reserve, which is as long.

Together they are the stack's default of `Timeout`, which the shipper uses up while Loki is down.
"""

type Read = Callable[[int, int], Iterator[list[tuple[str, LogEvent]]]]
"""Reads pages of log events with their log streams, from a time to before another, in ms."""


def catch_up(
    known: GroupState, origin: FilteredGroup, *, read: Read, ship: ShipLogData, clock: Clock
) -> CaughtUp | None:
    """Ship what a log group's filter or policy has missed; None where time was up before the end.

    Waits until nothing more can be missed. The log events keep their ids, so that Loki folds those
    that were delivered too. Raises AwsError.
    """
    until = missed_until(known)
    assert until is not None
    if not wait_until(until, clock):
        return None
    began = clock.now()
    lines = size = 0
    for page in read(known.created - _PAST_MS, until + _AHEAD_MS):
        for data in payloads(page, origin):
            if clock.remaining() < _SHIP_SECONDS:
                return None
            if lines >= _MAX_LINES or size >= _MAX_BYTES or clock.now() - began >= _MAX_MS:
                return CaughtUp(lines, whole=False)
            ship(data)
            lines += len(data.log_events)
            size += text_bytes(data)
    return CaughtUp(lines, whole=True)
