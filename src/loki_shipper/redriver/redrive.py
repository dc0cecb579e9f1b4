"""Ships what waits in the bucket, oldest first, and deletes what has arrived.

An object is deleted only if all of it was delivered, dropped by rule or put into the bucket anew,
and only while its content is what was shipped. What a failure means:

1. The object stays, and its log group waits for the next run. Its lines have to arrive in order:
   what is older than an hour goes to the late stream, and the window of that one moves on too.
2. Three failures in a row mean that Loki is down, and the run ends. Those that Loki or its gateway
   explains with the tenant (blocked, rate limited) do not count: others may fare better.
3. What has been in the bucket for a day makes nobody wait. If it fails twice in a run in which Loki
   took something in between, the fault is its own, and it is set aside under `rejected/`.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.redriver.bucket import FAILED, REJECTED, Bucket, Stored, dated
from loki_shipper.redriver.record import LogGroup, NotARecordError, log_group, record
from loki_shipper.shipper.outcome import Report
from loki_shipper.shipper.spill import SpillError

_MAX_BYTES = 16 * 1024 * 1024
"""Largest object that is read: an invocation event has at most 1 MB."""

_SHORTEST_TRY = 10.0
"""Seconds: with less than this left, no object is begun."""

_FAILURES_WHEN_DOWN = 3
_PATIENCE = timedelta(days=1)

_CRASHED = "crashed_"
_NOT_LOKI = ("blocked", "tenant", "rate_limited", _CRASHED)
"""How reasons begin that say nothing of others: the fault is a tenant's, or a record's."""

_OUT_OF_TIME = "out_of_time"

type Ship = Callable[[Any], Report]
"""Runs the pipeline on an invocation event. Raises SpillError."""

type Ending = Literal["done", "deadline", "limit", "loki_down", "bucket"]
"""Why a run took no more: there was no object, no time, as many as were asked for, no Loki, or no
bucket to write to."""


class Redriven(Struct, frozen=True, kw_only=True):
    """What a run did.

    `objects` were shipped and deleted: `lines` of theirs were delivered, of those `late` to the
    late stream, and `rejected` were refused. `set_aside` objects went to `rejected/`, no record or
    hopeless. `left` objects wait for another run, as far as there was time to count, the oldest
    since `oldest`. `failures` counts failed tries by reason.
    """

    objects: int = 0
    lines: int = 0
    late: int = 0
    rejected: int = 0
    set_aside: int = 0
    left: int = 0
    oldest: datetime | None = None
    failures: dict[str, int] = {}
    ended: Ending = "done"


def redrive(  # noqa: PLR0913 - each is an effect or a bound
    waiting: Iterable[Stored],
    bucket: Bucket,
    ship: Ship,
    *,
    now: datetime,
    remaining: Callable[[], float],
    limit: int | None = None,
    tell: Callable[[Redriven], None] = lambda _: None,
) -> Redriven:
    """Ship objects in the order in which they wait, until something says to stop.

    `remaining` is in seconds. What is written after `now` waits for the next run. `tell` hears of
    every object. Raises BucketError.
    """
    run = _Run(bucket, ship, now)
    for stored in waiting:
        if run.ended == "done":
            run.ended = _ended(run, remaining(), limit)
        if run.ended == "done":
            run.take(stored)
        elif remaining() > 0:
            run.leave(stored)
        else:
            break
        tell(run.so_far())
    run.finish()
    return run.so_far()


def _ended(run: "_Run", remaining: float, limit: int | None) -> Ending:
    if remaining < _SHORTEST_TRY:
        return "deadline"
    return "limit" if run.taken == limit else "done"


class _Run:
    """What one run has done and learnt."""

    def __init__(self, bucket: Bucket, ship: Ship, now: datetime) -> None:
        self._bucket = bucket
        self._ship = ship
        self._now = now
        self._sum = Redriven()
        self._failures = Counter[str]()
        self._in_a_row = 0
        self._held: set[LogGroup] = set()
        self._doubtful: list[Stored] = []
        self.taken = 0
        self.ended: Ending = "done"

    def so_far(self) -> Redriven:
        """Report."""
        return replace(self._sum, failures=dict(self._failures), ended=self.ended)

    def leave(self, stored: Stored) -> None:
        """Count an object that waits for another run."""
        oldest = min(self._sum.oldest or stored.written, stored.written)
        self._sum = replace(self._sum, left=self._sum.left + 1, oldest=oldest)

    def finish(self) -> None:
        """Leave what would have been tried again, had Loki taken anything."""
        for stored in self._doubtful:
            self.leave(stored)

    def take(self, stored: Stored) -> None:
        """Do with an object what is to be done with it in this run."""
        if stored.written > self._now:
            # The rest of what arrived in part is among them: a run must not live on its own work.
            self.leave(stored)
        elif stored.size > _MAX_BYTES:
            self._set_aside(stored, "too_large")
        elif stored.key.startswith(REJECTED):
            self._take_back(stored)
        else:
            self._read(stored)

    def _take_back(self, stored: Stored) -> None:
        # From now on it is one of the failed: if it is refused again, its old key is written again.
        failed = replace(stored, key=FAILED + dated(stored.key), written=self._now)
        if self._bucket.move(stored.key, stored.etag, failed.key, "taken_back"):
            self._read(failed)

    def _read(self, stored: Stored, *, again: bool = False) -> None:
        read = self._bucket.read(stored.key)
        if read is None:
            return
        stored = replace(stored, etag=read.etag)
        try:
            event = record(read.body)
        except NotARecordError as error:
            self._set_aside(stored, str(error))
            return
        if self._held and not again and log_group(event) in self._held:
            self.leave(stored)
            return
        self.taken += not again
        self._try(stored, event, again=again)

    def _try(self, stored: Stored, event: Any, *, again: bool) -> None:
        report = _shipped(self._ship, event)
        self._count(report)
        if report.failure is None:
            self._arrived(stored, event, report)
        elif _OUT_OF_TIME in report.errored:
            self._end("deadline", stored)
        elif report.delivered or not report.errored:
            # The rest could not be put into the bucket.
            self._end("bucket", stored)
        elif again:
            self._set_aside(stored, min(report.errored))
        else:
            self._failed(stored, event, report)

    def _count(self, report: Report) -> None:
        self._failures.update(list(report.errored))
        self._sum = replace(
            self._sum,
            lines=self._sum.lines + report.delivered,
            late=self._sum.late + report.late,
            rejected=self._sum.rejected + sum(report.rejected.values()),
        )

    def _arrived(self, stored: Stored, event: Any, report: Report) -> None:
        if report.errored:
            self._hold(event)
        if self._bucket.delete(stored.key, stored.etag):
            self._sum = replace(self._sum, objects=self._sum.objects + 1)
        else:
            self.leave(stored)
        if report.delivered or report.rejected:
            self._in_a_row = 0
            doubtful, self._doubtful = self._doubtful, []
            for each in doubtful:
                self._read(each, again=True)

    def _failed(self, stored: Stored, event: Any, report: Report) -> None:
        if not all(reason.startswith(_NOT_LOKI) for reason in report.errored):
            self._in_a_row += 1
        if self._in_a_row == _FAILURES_WHEN_DOWN:
            self.ended = "loki_down"
        if self._now - stored.written > _PATIENCE:
            self._doubtful.append(stored)
        else:
            self._hold(event)
            self.leave(stored)

    def _hold(self, event: Any) -> None:
        group = log_group(event)
        if group is not None:
            self._held.add(group)

    def _end(self, ending: Ending, stored: Stored) -> None:
        self.ended = ending
        self.leave(stored)

    def _set_aside(self, stored: Stored, reason: str) -> None:
        if self._bucket.move(stored.key, stored.etag, REJECTED + dated(stored.key), reason):
            self._sum = replace(self._sum, set_aside=self._sum.set_aside + 1)
        else:
            self.leave(stored)


def _shipped(ship: Ship, event: Any) -> Report:
    try:
        return ship(event)
    except SpillError as error:
        return Report(failure=str(error))
    except Exception as error:  # noqa: BLE001 - one that breaks the pipeline must not block others
        reason = f"{_CRASHED}{type(error).__name__}"
        return Report(errored={reason: 1}, failure=reason)
