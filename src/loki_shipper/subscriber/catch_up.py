"""A new log group's first lines, from before its filter was there."""

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from loki_shipper.model import LogEvent
from loki_shipper.shipper.pack import pack
from loki_shipper.subscriber.clock import Clock
from loki_shipper.subscriber.memory import Known
from loki_shipper.subscriber.payload import Origin, payloads

_DAY_MS = 86_400_000
_NEW_MS = _DAY_MS
# The oldest that PutLogEvents takes.
_OLDEST_MS = 14 * _DAY_MS
_SETTLE_MS = 10_000
"""From putting a filter to reading: what is read must hold all that the filter missed."""

_MAX_EVENTS = 100_000

type Read = Callable[[int, int], Iterator[list[tuple[str, LogEvent]]]]
"""Reads pages of log events with their log streams, from a time to before another, in ms."""

type Ship = Callable[[dict[str, Any]], dict[str, Any]]
"""Hands an event to the shipper and gives its report. Raises AwsError."""


class CaughtUp(Struct, frozen=True):
    """How many lines were shipped. Not `whole`: there are more than are read here."""

    lines: int
    whole: bool


def is_due(known: Known, now: int) -> bool:
    """Tell whether a linked log group's first lines are still to be shipped.

    Only where the log group was new when its filter came: the past of others is for `backfill`.
    """
    ours = known.filters.ours
    if ours is None or known.caught_up:
        return False
    return ours.since - known.created < _NEW_MS and now - ours.since < _NEW_MS


def catch_up(
    known: Known, origin: Origin, *, read: Read, ship: Ship, clock: Clock
) -> CaughtUp | None:
    """Read once what was logged until now, and ship it; None where time was up before the end.

    The log events keep their ids, so that Loki folds those that the filter delivers too. Raises
    AwsError.
    """
    assert known.filters.ours is not None
    settled = known.filters.ours.since + _SETTLE_MS
    clock.sleep(max(0, settled - clock.now()) / 1000)
    lines = 0
    for page in read(known.created - _OLDEST_MS, clock.now()):
        for data in payloads(page, origin):
            if clock.remaining() <= 0:
                return None
            ship({"awslogs": {"data": pack(data)}})
            lines += len(data.log_events)
        if lines >= _MAX_EVENTS:
            return CaughtUp(lines, whole=False)
    return CaughtUp(lines, whole=True)
