"""A new log group's first lines, from before its filter or the account policy was effective."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from loki_shipper.model import LogEvent
from loki_shipper.subscriber.clock import Clock, wait_until
from loki_shipper.subscriber.memory import GroupState
from loki_shipper.subscriber.model import EFFECTIVE_MS
from loki_shipper.subscriber.payload import FilteredGroup, payloads, text_bytes
from loki_shipper.subscriber.shipping import ShipLogData

OLDEST_DAYS = 7
"""Age in days of the oldest line that stock Loki takes (`reject_old_samples_max_age`)."""

_DAY_MS = 86_400_000
_NEW_MS = _DAY_MS
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


class CaughtUp(Struct, frozen=True):
    """How many lines were shipped. Not `whole`: there are more than are shipped here."""

    lines: int
    whole: bool


def missed_until(known: GroupState) -> int | None:
    """Give when a log group's filter or policy is effective for sure, in ms since 1970.

    What was ingested before that may not have been delivered. None: the log group is not linked.
    """
    return None if known.since is None else known.since + EFFECTIVE_MS


def is_open(known: GroupState) -> bool:
    """Tell whether a log group has first lines that were not shipped.

    Only where the log group was new when it was linked: the past of others is for `backfill`.
    """
    if known.since is None or known.caught_up:
        return False
    return known.since - known.created < _NEW_MS


def is_expired(known: GroupState, now: int) -> bool:
    """Tell whether Loki takes none of a log group's first lines any more.

    `now` is in ms since 1970.
    """
    until = missed_until(known)
    return until is not None and now - until >= OLDEST_DAYS * _DAY_MS


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
