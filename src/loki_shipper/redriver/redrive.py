"""Ships what waits in the bucket, and deletes what has arrived.

Objects are taken some at a time, those of a log group are shipped together, and an object is
deleted only if all of it was delivered, dropped by a rule, or put into the bucket anew. What a
failure means:

1. Loki or its gateway refuses a tenant (blocked, denied, rate limited): the tenant's objects stay,
   and others go on.
2. Loki fails a shipment of several objects: they are shipped again one by one, so that the fault of
   one does not stop the others. Three failures in a row close a tenant for a minute.
3. An object fails alone, in run after run in which Loki takes other lines of its tenant: the fault
   is the object's own. Once it has been in the bucket for a day, it is set aside under `rejected/`.
4. S3 does not let an object be read or deleted: the object stays, and is counted. After a day it is
   set aside where that is possible.

What has been in the bucket for a day is tried in one run of twelve: it may have to wait for weeks,
and every look at it is a request to S3.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.redriver.attempt import (
    OUT_OF_TIME,
    Arrived,
    AttemptResult,
    Item,
    Stuck,
    Unkept,
    attempt,
)
from loki_shipper.redriver.bucket import FAILED, REJECTED, Fault, StoredObject, dated
from loki_shipper.redriver.cursor import BEGINNING, Cursor
from loki_shipper.redriver.effects import RedriveEffects
from loki_shipper.redriver.record import NotARecordError, read_stored_records
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, write_undecodable

_MAX_BYTES = 16 * 1024 * 1024
"""Largest object that is read: an invocation event has at most 1 MB."""

_TOGETHER = 256
_TOGETHER_BYTES = 4 * 1024 * 1024
"""Most objects, and most bytes of objects, that are in memory at a time."""

_READ_TOGETHER = 32
"""Objects that are read between two looks at the clock. Where S3 hardly answers, a read takes 14
seconds (redriver/s3.py), and 16 objects are read at a time."""

_TEXT_BYTES = 8 * 1024 * 1024
"""Most text in memory at a time, beyond one payload: it may have been packed a hundredfold."""

_SHORTEST_TRY = 10.0
"""Seconds: with less than this left, nothing is begun."""

_PATIENCE = timedelta(days=1)
_SELDOM = 12
"""Runs among which an object has one turn, when it has been in the bucket for a day."""

_FAILED_RUNS = 12
"""Runs in which an object must have failed alone to be set aside."""

_MOST_DOUBTS = 1_000
_MOST_STUCK = 1_000
_MOST_FAULTS = 10_000
_MOST_UNKEPT = 3
"""How many doubts are remembered; and how many objects in a row end a run: stuck as if Loki were
down, that S3 does not let be read, and of which the rest cannot be written. A former key makes
thousands of objects unreadable; a run looks at 10,000 of them in 20 seconds."""

type Ending = Literal["done", "deadline", "limit", "loki_down", "bucket"]
"""Why a run took no more: there was no object, no time, as many as were asked for, no Loki, or no
bucket to read from or to write to."""


class RedriveReport(Struct, frozen=True, kw_only=True):
    """What a run did.

    `objects` were shipped and deleted: `lines` of theirs were delivered, of those `late` to late
    streams, and `rejected` were refused. `set_aside` objects went to `rejected/`: no record, or
    hopeless. `left` objects were looked at and wait for another run, the oldest since `oldest`.
    `failures` counts failed objects by reason, `faults` what S3 refused by its code. `cursor`
    is for the next run.
    """

    objects: int = 0
    lines: int = 0
    late: int = 0
    rejected: int = 0
    set_aside: int = 0
    left: int = 0
    oldest: datetime | None = None
    failures: dict[str, int] = {}
    faults: dict[str, int] = {}
    ended: Ending = "done"
    cursor: Cursor = BEGINNING


def redrive(  # noqa: PLR0913 - each is an effect or a bound
    waiting: Iterable[StoredObject],
    effects: RedriveEffects,
    *,
    cursor: Cursor = BEGINNING,
    limit: int | None = None,
    skip_old: bool = True,
    on_progress: Callable[[RedriveReport], None] = lambda _: None,
) -> RedriveReport:
    """Ship objects in their order, until the run has to stop, and report.

    `cursor` is the last run's, `limit` the most objects to take. `skip_old`: try objects that have
    been in the bucket for a day in one run of twelve only. `on_progress` is called with the report
    so far. Raises BucketError if the bucket cannot be listed.
    """
    run = _RedriveRun(effects, cursor, skip_old=skip_old)
    objects = iter(waiting)
    for chunk in _chunks(islice(objects, limit)):
        if not run.may_go_on():
            break
        run.take(chunk)
        on_progress(run.so_far())
    run.end(next(objects, None) if limit is not None else None)
    return run.so_far()


def _chunks(waiting: Iterable[StoredObject]) -> Iterator[list[StoredObject]]:
    chunk: list[StoredObject] = []
    size = 0
    for stored in waiting:
        if chunk and (len(chunk) == _TOGETHER or size + stored.size > _TOGETHER_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(stored)
        size += stored.size
    if chunk:
        yield chunk


class _RedriveRun:
    """What one run has done and learnt."""

    def __init__(self, effects: RedriveEffects, cursor: Cursor, *, skip_old: bool) -> None:
        self._effects = effects
        self._bucket = effects.bucket
        self._now = effects.now
        self._is_patient = skip_old
        self._sum = RedriveReport()
        self._failures = Counter[str]()
        self._faults = Counter[str]()
        self._in_a_row = Counter[str]()
        self._doubts = dict(cursor.doubts)
        self._alone: list[tuple[StoredObject, Stuck]] = []
        self._arrived: list[StoredObject] = []
        self._last = ""
        self._ended: Ending = "done"

    def so_far(self) -> RedriveReport:
        """Report."""
        return replace(
            self._sum,
            failures=dict(self._failures),
            faults=dict(self._faults),
            ended=self._ended,
            cursor=Cursor(self._next(), dict([*self._doubts.items()][-_MOST_DOUBTS:])),
        )

    def may_go_on(self) -> bool:
        """Tell whether the run may take more objects; end it where there is no time."""
        return self._has_time() and self._ended == "done"

    def _has_time(self) -> bool:
        """Tell whether there is time to begin something, and end the run if there is none."""
        if self._effects.remaining() >= _SHORTEST_TRY:
            return True
        if self._ended == "done":
            self._ended = "deadline"
        return False

    def take(self, chunk: list[StoredObject]) -> None:
        """Do with objects what is to be done with them in this run."""
        self._last = chunk[-1].key
        for groups in _by_log_group(self._read(chunk)):
            self._try(groups)
        self._delete()

    def end(self, beyond: StoredObject | None) -> None:
        """Set aside what keeps failing alone; `beyond` is the first object over the limit."""
        for stored, stuck in self._alone:
            if self._has_accepted(stuck.tenants):
                # At the end, so that those of objects that are gone are forgotten first.
                self._doubts[stored.key] = self._doubts.pop(stored.key, 0) + 1
            is_old = self._now - stored.written > _PATIENCE
            if is_old and self._doubts.get(stored.key, 0) >= _FAILED_RUNS:
                self._set_aside(stored, min(stuck.reasons))
            else:
                self._leave(stored)
        if self._ended == "done" and beyond is not None:
            self._ended = "limit"
            self._leave(beyond)

    def _next(self) -> str:
        """Give the key behind which the next run begins.

        Behind those that failed alone, as they may close their tenant to the others.
        """
        if self._ended != "done":
            return self._last
        return self._alone[-1][0].key if self._alone else ""

    def _read(self, chunk: list[StoredObject]) -> Iterator[Item]:
        due = [stored for stored in chunk if self._has_its_turn(stored)]
        objects = [each for each in map(self._taken_back, due) if each is not None]
        for start in range(0, len(objects), _READ_TOGETHER):
            some = objects[start : start + _READ_TOGETHER]
            if self._has_time():
                yield from self._items_of(some)
            else:
                for stored in some:
                    self._leave(stored)

    def _items_of(self, objects: list[StoredObject]) -> Iterator[Item]:
        bodies = self._bucket.read([stored.key for stored in objects])
        for stored, body in zip(objects, bodies, strict=True):
            match body:
                case None:
                    # Another worker, or a person, was quicker.
                    pass
                case Fault():
                    self._faulty(stored, body)
                case _:
                    self._in_a_row.pop("faults", None)
                    yield from self._items(stored, body)

    def _has_its_turn(self, stored: StoredObject) -> bool:
        if not self._is_patient or self._now - stored.written <= _PATIENCE:
            return True
        # By chance, as no run knows how often the schedule starts one.
        dice = zlib.crc32(f"{stored.key} {self._now:%Y-%m-%d %H:%M}".encode())
        if dice % _SELDOM == 0:
            return True
        self._leave(stored)
        return False

    def _taken_back(self, stored: StoredObject) -> StoredObject | None:
        """Give the object to read: one of `rejected/` is one of the failed from now on.

        If it is refused again, its old key is written again.
        """
        if stored.size > _MAX_BYTES:
            self._set_aside(stored, "too_large")
            return None
        if not stored.key.startswith(REJECTED):
            return stored
        if not self._has_time():
            self._leave(stored)
            return None
        failed = replace(stored, key=FAILED + dated(stored.key), written=self._now)
        fault = self._bucket.move(stored.key, failed.key, "taken_back")
        if fault is None:
            return failed
        self._faulty(stored, fault)
        return None

    def _items(self, stored: StoredObject, body: bytes) -> Iterator[Item]:
        try:
            records = read_stored_records(body)
            for record in records:
                if record.fault is not None:
                    write_undecodable(record.event, reason=record.fault, put=self._effects.put)
        except NotARecordError as error:
            self._set_aside(stored, str(error))
            return
        except DeadLetterError:
            self._leave(stored)
            return
        if payloads := [data for record in records for data in record.payloads]:
            yield Item(stored, payloads)
        else:
            self._arrived.append(stored)

    def _try(self, groups: list[list[Item]]) -> None:
        """Ship the objects of each log group together, and those that fail so one by one."""
        again: list[list[Item]] = []
        for items, results in zip(groups, self._effects.map(self._attempt, groups), strict=True):
            for item, result in zip(items, results, strict=True):
                match result:
                    case Arrived():
                        self._has_arrived(item.stored, result)
                    case Unkept():
                        self._leave(item.stored)
                        self._end_after("unkept", _MOST_UNKEPT, "bucket")
                    case Stuck(may_be_its_own_fault=True) if len(items) > 1:
                        again.append([item])
                    case Stuck():
                        self._stuck(item.stored, result)
                    case _:
                        assert_never(result)
        if again:
            self._try(again)

    def _attempt(self, items: list[Item]) -> list[AttemptResult]:
        if self._effects.remaining() < _SHORTEST_TRY:
            return [Stuck((OUT_OF_TIME,))] * len(items)
        return attempt(items, self._effects.ship, self._effects.put)

    def _has_arrived(self, stored: StoredObject, arrived: Arrived) -> None:
        self._doubts.pop(stored.key, None)
        for settled in (each.settled for each in arrived.shipped):
            if settled.delivered or settled.rejected:
                self._in_a_row.clear()
            self._failures.update([*settled.errored])
            self._sum = replace(
                self._sum,
                lines=self._sum.lines + settled.delivered,
                late=self._sum.late + settled.late,
                rejected=self._sum.rejected + sum(map(len, settled.rejected.values())),
            )
        if arrived.is_rewritten:
            self._leave(stored)
        else:
            self._arrived.append(stored)

    def _stuck(self, stored: StoredObject, stuck: Stuck) -> None:
        if stuck.is_out_of_time:
            self._ended = "deadline"
            self._leave(stored)
            return
        self._failures.update(stuck.reasons)
        if stuck.is_as_if_loki_were_down:
            self._end_after("stuck", _MOST_STUCK, "loki_down")
        if stuck.may_be_its_own_fault and len(self._alone) < _MOST_DOUBTS:
            self._alone.append((stored, stuck))
        else:
            self._leave(stored)

    def _has_accepted(self, tenants: frozenset[str | None]) -> bool:
        """Tell whether Loki took lines of these tenants; of any, where the pipeline broke."""
        accepted = self._effects.tenants.accepted
        return not accepted.keys().isdisjoint(tenants) if tenants else bool(accepted)

    def _delete(self) -> None:
        faults = self._bucket.delete([stored.key for stored in self._arrived])
        for stored in self._arrived:
            if stored.key in faults:
                self._faulty(stored, faults[stored.key])
            else:
                self._sum = replace(self._sum, objects=self._sum.objects + 1)
        self._arrived = []

    def _faulty(self, stored: StoredObject, fault: Fault) -> None:
        self._faults[fault.code] += 1
        self._end_after("faults", _MOST_FAULTS, "bucket")
        if self._now - stored.written > _PATIENCE and self._moved(stored, fault.code):
            self._sum = replace(self._sum, set_aside=self._sum.set_aside + 1)
        else:
            self._leave(stored)

    def _set_aside(self, stored: StoredObject, reason: str) -> None:
        if self._moved(stored, reason):
            self._doubts.pop(stored.key, None)
            self._sum = replace(self._sum, set_aside=self._sum.set_aside + 1)
        else:
            self._leave(stored)

    def _moved(self, stored: StoredObject, reason: str) -> bool:
        if not self._has_time():
            return False
        fault = self._bucket.move(stored.key, REJECTED + dated(stored.key), reason)
        if fault is not None:
            self._faults[fault.code] += 1
        return fault is None

    def _leave(self, stored: StoredObject) -> None:
        oldest = min(self._sum.oldest or stored.written, stored.written)
        self._sum = replace(self._sum, left=self._sum.left + 1, oldest=oldest)

    def _end_after(self, what: str, most: int, ending: Ending) -> None:
        self._in_a_row[what] += 1
        if self._in_a_row[what] >= most and self._ended == "done":
            self._ended = ending


def _by_log_group(items: Iterator[Item]) -> Iterator[list[list[Item]]]:
    """Gather the objects of each log group, as many log groups as are not too much text."""
    groups: dict[tuple[str, str], list[Item]] = {}
    size = 0
    for item in items:
        first = item.payloads[0]
        groups.setdefault((first.owner, first.log_group), []).append(item)
        size += sum(len(event.message) for data in item.payloads for event in data.log_events)
        if size > _TEXT_BYTES:
            yield [*groups.values()]
            groups, size = {}, 0
    yield [*groups.values()]
