"""Ships the objects that wait in the bucket, and deletes those that are delivered.

A run takes objects in chunks and ships those of a log group together. It deletes an object only if
all its lines were delivered, dropped by a rule, or written to the bucket again. A failure means:

1. Loki or its gateway refuses a tenant (blocked, denied, rate limited): the tenant's objects wait,
   and the run goes on with other tenants.
2. Loki fails for several objects that were shipped together: the run ships each of them alone, so
   that one bad object does not stop the others. After three failures in a row, nothing is sent to
   the tenant for a minute.
3. An object fails alone in twelve runs in which Loki takes other lines of its tenant: the object is
   bad. Once it has been in the bucket for a day, it is moved to `rejected/`.
4. S3 refuses to read or delete an object: the object stays and is counted. After a day the run
   tries to move it to `rejected/`.

An object that has been in the bucket for a day is tried in one run of twelve: it may wait for
weeks, and each try is a request to S3.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from itertools import islice
from typing import assert_never

from msgspec.structs import replace

from loki_shipper.redriver.attempt import (
    AttemptResult,
    Completed,
    DeadLetter,
    NotSaved,
    Undelivered,
    attempt,
)
from loki_shipper.redriver.bucket import FAILED, REJECTED, Fault, StoredObject, key_without_folder
from loki_shipper.redriver.chunks import by_log_group, chunks
from loki_shipper.redriver.cursor import BEGINNING, Cursor
from loki_shipper.redriver.effects import RedriveEffects
from loki_shipper.redriver.record import NotARecordError, read_stored_records, write_in_parts
from loki_shipper.redriver.report import Ending, RedriveReport
from loki_shipper.shipper.delivery.answer import OUT_OF_TIME
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, write_undecodable
from loki_shipper.shipper.delivery.hourly import HourlySums

_MAX_BYTES = 16 * 1024 * 1024
"""The largest object to read. An invocation event has at most 1 MB."""

_READS = 32
"""Objects to read before the next look at the clock. If S3 hardly answers, a read takes 14 seconds
(redriver/s3.py), and 16 objects are read at a time."""

_MIN_SECONDS = 10.0
"""Seconds that must remain to begin anything."""

_OLD = timedelta(days=1)
_RUNS_BETWEEN_TRIES = 12
"""An object that is `_OLD` is tried in one of so many runs, on average."""

_MAX_LONE_FAILURES = 12
"""Runs in which an object fails alone before it is set aside."""

_MAX_REMEMBERED = 1_000
"""Objects that failed alone and are remembered."""

_MAX_FAILURES_IN_A_ROW = 1_000
_MAX_FAULTS_IN_A_ROW = 10_000
_MAX_NOT_SAVED = 3
"""Objects in a row that end a run: Loki seems to be down, S3 does not let them be read, and their
lines cannot be written. A lost KMS key makes thousands of objects unreadable, and a run tries
10,000 of them in 20 seconds."""


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
    for chunk in chunks(islice(objects, limit)):
        if not run.may_go_on():
            break
        run.take(chunk)
        on_progress(run.report())
    run.end(next(objects, None) if limit is not None else None)
    return run.report()


class _RedriveRun:
    """The state of one run."""

    def __init__(self, effects: RedriveEffects, cursor: Cursor, *, skip_old: bool) -> None:
        self._effects = effects
        self._bucket = effects.bucket
        self._now = effects.now
        self._skip_old = skip_old
        self._report = RedriveReport()
        self._hourly = HourlySums()
        self._failures = Counter[str]()
        self._faults = Counter[str]()
        self._in_a_row = Counter[str]()
        self._lone_failures = dict(cursor.lone_failures)
        self._failed_alone: list[tuple[StoredObject, Undelivered]] = []
        self._to_delete: list[StoredObject] = []
        self._last_key = ""
        self._ended: Ending = "done"

    def report(self) -> RedriveReport:
        return replace(
            self._report,
            failures=dict(self._failures),
            faults=dict(self._faults),
            ended=self._ended,
            hourly=self._hourly.counts(),
            cursor=Cursor(
                self._next_after(), dict([*self._lone_failures.items()][-_MAX_REMEMBERED:])
            ),
        )

    def may_go_on(self) -> bool:
        """Tell whether the run may take more objects; end it if there is no time."""
        return self._has_time() and self._ended == "done"

    def _has_time(self) -> bool:
        """Tell whether there is time to begin something; end the run if there is none."""
        if self._effects.remaining() >= _MIN_SECONDS:
            return True
        if self._ended == "done":
            self._ended = "deadline"
        return False

    def take(self, chunk: list[StoredObject]) -> None:
        """Read the objects of a chunk, ship them, and delete those that are completed."""
        self._last_key = chunk[-1].key
        for groups in by_log_group(self._read(chunk)):
            self._ship(groups)
        self._delete()

    def end(self, beyond: StoredObject | None) -> None:
        """Set bad objects aside; `beyond` is the first object over the limit."""
        for stored, failure in self._failed_alone:
            if self._has_accepted(failure.tenants):
                # Insert it at the end, so that objects that are gone are forgotten first.
                self._lone_failures[stored.key] = self._lone_failures.pop(stored.key, 0) + 1
            is_bad = self._lone_failures.get(stored.key, 0) >= _MAX_LONE_FAILURES
            if is_bad and self._is_old(stored):
                self._set_aside(stored, min(failure.reasons))
            else:
                self._leave(stored)
        if self._ended == "done" and beyond is not None:
            self._ended = "limit"
            self._leave(beyond)

    def _is_old(self, stored: StoredObject) -> bool:
        return self._now - stored.written > _OLD

    def _next_after(self) -> str:
        """Give the key after which the next run begins.

        It skips objects that failed alone, as they may close their tenant for the others.
        """
        if self._ended != "done":
            return self._last_key
        return self._failed_alone[-1][0].key if self._failed_alone else ""

    def _read(self, chunk: list[StoredObject]) -> Iterator[DeadLetter]:
        due = [stored for stored in chunk if self._is_due(stored)]
        objects = [each for each in map(self._readable, due) if each is not None]
        for start in range(0, len(objects), _READS):
            some = objects[start : start + _READS]
            if self._has_time():
                yield from self._read_together(some)
            else:
                for stored in some:
                    self._leave(stored)

    def _read_together(self, objects: list[StoredObject]) -> Iterator[DeadLetter]:
        bodies = self._bucket.read([stored.key for stored in objects])
        for stored, body in zip(objects, bodies, strict=True):
            match body:
                case None:
                    # Another worker, or a person, has deleted it.
                    pass
                case Fault():
                    self._on_fault(stored, body)
                case _:
                    self._in_a_row.pop("faults", None)
                    yield from self._decoded(stored, body)

    def _is_due(self, stored: StoredObject) -> bool:
        if not self._skip_old or not self._is_old(stored):
            return True
        # By a checksum, as no run knows how often the schedule starts one.
        checksum = zlib.crc32(f"{stored.key} {self._now:%Y-%m-%d %H:%M}".encode())
        if checksum % _RUNS_BETWEEN_TRIES == 0:
            return True
        self._leave(stored)
        return False

    def _readable(self, stored: StoredObject) -> StoredObject | None:
        """Give the object to read, after moving it from `rejected/` to `failed/`; or None.

        If Loki rejects its lines again, they are written to the old key again.
        """
        if stored.size > _MAX_BYTES:
            self._set_aside(stored, "too_large")
            return None
        if not stored.key.startswith(REJECTED):
            return stored
        if not self._has_time():
            self._leave(stored)
            return None
        key = FAILED + key_without_folder(stored.key)
        fault = self._bucket.move(stored.key, key, "taken_back")
        if fault is None:
            return replace(stored, key=key, written=self._now)
        self._on_fault(stored, fault)
        return None

    def _decoded(self, stored: StoredObject, body: bytes) -> Iterator[DeadLetter]:
        try:
            if write_in_parts(stored, body, self._effects.put):
                # A later run ships the parts.
                self._to_delete.append(stored)
                return
            records = read_stored_records(stored.key, body)
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
            yield DeadLetter(stored, payloads)
        else:
            self._to_delete.append(stored)

    def _ship(self, groups: list[list[DeadLetter]]) -> None:
        """Ship the objects of each log group together, and each alone if that fails."""
        again: list[list[DeadLetter]] = []
        for letters, results in zip(groups, self._effects.map(self._attempt, groups), strict=True):
            for letter, result in zip(letters, results, strict=True):
                match result:
                    case Completed():
                        self._on_completed(letter.stored, result)
                    case NotSaved():
                        self._leave(letter.stored)
                        self._count_in_a_row("not_saved", _MAX_NOT_SAVED, "bucket")
                    case Undelivered(may_be_its_own_fault=True) if len(letters) > 1:
                        again.append([letter])
                    case Undelivered():
                        self._on_undelivered(letter.stored, result)
                    case _:
                        assert_never(result)
        if again:
            self._ship(again)

    def _attempt(self, letters: list[DeadLetter]) -> list[AttemptResult]:
        if self._effects.remaining() < _MIN_SECONDS:
            return [Undelivered((OUT_OF_TIME,))] * len(letters)
        return attempt(letters, self._effects.ship, self._effects.put)

    def _on_completed(self, stored: StoredObject, completed: Completed) -> None:
        self._lone_failures.pop(stored.key, None)
        for each in completed.shipped:
            settled = each.settled
            self._hourly.add(each.hourly())
            if settled.delivered or settled.rejected:
                self._in_a_row.clear()
            self._failures.update([*settled.errored])
            self._report = self._report.with_lines(settled)
        if completed.is_rewritten:
            self._leave(stored)
        else:
            self._to_delete.append(stored)

    def _on_undelivered(self, stored: StoredObject, failure: Undelivered) -> None:
        if failure.is_out_of_time:
            self._ended = "deadline"
            self._leave(stored)
            return
        self._failures.update(failure.reasons)
        if failure.may_mean_loki_is_down:
            self._count_in_a_row("failures", _MAX_FAILURES_IN_A_ROW, "loki_down")
        if failure.may_be_its_own_fault and len(self._failed_alone) < _MAX_REMEMBERED:
            self._failed_alone.append((stored, failure))
        else:
            self._leave(stored)

    def _has_accepted(self, tenants: frozenset[str | None]) -> bool:
        """Tell whether Loki took lines of these tenants; of any tenant, if none is known."""
        accepted = self._effects.tenants.accepted
        return not accepted.keys().isdisjoint(tenants) if tenants else bool(accepted)

    def _delete(self) -> None:
        faults = self._bucket.delete([stored.key for stored in self._to_delete])
        for stored in self._to_delete:
            if stored.key in faults:
                self._on_fault(stored, faults[stored.key])
            else:
                self._report = replace(self._report, objects=self._report.objects + 1)
        self._to_delete = []

    def _on_fault(self, stored: StoredObject, fault: Fault) -> None:
        self._faults[fault.code] += 1
        self._count_in_a_row("faults", _MAX_FAULTS_IN_A_ROW, "bucket")
        if not self._is_old(stored) or not self._move_to_rejected(stored, fault.code):
            self._leave(stored)

    def _set_aside(self, stored: StoredObject, reason: str) -> None:
        if self._move_to_rejected(stored, reason):
            self._lone_failures.pop(stored.key, None)
        else:
            self._leave(stored)

    def _move_to_rejected(self, stored: StoredObject, reason: str) -> bool:
        if not self._has_time():
            return False
        key = REJECTED + key_without_folder(stored.key)
        fault = self._bucket.move(stored.key, key, reason)
        if fault is not None:
            self._faults[fault.code] += 1
            return False
        self._report = replace(self._report, set_aside=self._report.set_aside + 1)
        return True

    def _leave(self, stored: StoredObject) -> None:
        oldest = min(self._report.oldest or stored.written, stored.written)
        self._report = replace(self._report, left=self._report.left + 1, oldest=oldest)

    def _count_in_a_row(self, what: str, most: int, ending: Ending) -> None:
        """Count, and end the run if there are too many in a row."""
        self._in_a_row[what] += 1
        if self._in_a_row[what] >= most and self._ended == "done":
            self._ended = ending
