"""Ships the log files that the messages of a queue are about, and decides which ones come again.

A file is read part by part, and the parts of small files are pushed together. A part is done when
each of its lines is in Loki, dropped, or in the stack's bucket.

Lambda counts how often it has received a message, and moves it to the dead letters at last. That
count must only count crashes. So a message that comes again for any other reason is sent to the
queue anew, and the old one is done: neither a large file nor a long outage ends among the dead
letters.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from loki_shipper.shipper.delivery.answer import OUT_OF_TIME
from loki_shipper.shipper.delivery.dead_letters import (
    DeadLetterError,
    PutObject,
    write_undecodable,
)
from loki_shipper.shipper.delivery.judge import cause
from loki_shipper.shipper.delivery.outcome import Report, Shipped, total
from loki_shipper.shipper.delivery.undelivered import save_undelivered
from loki_shipper.shipper.log_files.content import UnreadableError, inflate
from loki_shipper.shipper.log_files.effects import LogFileEffects, ObjectError
from loki_shipper.shipper.log_files.messages import Message, read_messages
from loki_shipper.shipper.log_files.parts import PART_BYTES, Part, parts, with_head
from loki_shipper.shipper.log_files.reader import RefusedObject, SkippedObject
from loki_shipper.shipper.log_files.run import LogFileRun, bucket_of, counted, failures
from loki_shipper.shipper.sources.notifications import write_notification

_LEAST_SECONDS: Final = 15.0
"""Seconds that must remain to go on with a file: the lines in memory are shipped in them."""

_KEEP_EVERY: Final = 64 * 1024 * 1024
"""Bytes of text between two writes of the progress. A crash repeats no more than that."""

_FIRST_DELAY: Final = 30
_LONGEST_DELAY: Final = 900
"""Seconds until a message that made no progress comes again. SQS takes no longer delay."""

_ARCHIVED: Final = "S3 has archived it: restore it, and copy it to a storage class that can be read"

_BUCKET: Final = "bucket"
"""The reason of a file that waits because the stack's bucket cannot be written."""


class _OutOfTimeError(Exception):
    """Raised when the invocation has no time for the rest of a file."""


def ship_messages(event: Any, effects: LogFileEffects) -> Report:
    """Ship the log files of an event of a queue, and report what became of them.

    `retry` names the messages that Lambda must send again. Each other one is done, or was sent to
    the queue anew.
    """
    shipping = _Shipping(effects)
    found = [*map(_with_runs, read_messages(event))]
    for message, files in found:
        for file in files:
            shipping.ship(file, message)
    shipping.flush()
    every = [file for _, files in found for file in files]
    is_stuck = not any(file.has_advanced for file in every)
    retry = [
        message.item_identifier
        for message, files in found
        if not _end(message, files, shipping, is_stuck=is_stuck)
    ]
    own = Report(log_files=counted(every), failure=failures(every))
    return replace(total([*shipping.reports, own]), retry=tuple(retry))


def _with_runs(message: Message) -> tuple[Message, list[LogFileRun]]:
    begun = message.may_have_begun
    return message, [LogFileRun(each, may_have_begun=begun) for each in message.objects]


class _Shipping:
    """Ships files one after the other, and collects the reports on their lines."""

    def __init__(self, effects: LogFileEffects) -> None:
        self.reports: list[Report] = []
        self.effects = effects
        self._group: list[tuple[LogFileRun, Part]] = []
        self._size = 0
        self._stopped: str | None = None

    def ship(self, file: LogFileRun, message: Message) -> None:
        """Ship a file as far as there is time. Its last lines may wait for `flush`."""
        if self._stopped is not None:
            file.waits_for = self._stopped
            return
        try:
            file.result = self._read(file)
        except _OutOfTimeError:
            file.waits_for = OUT_OF_TIME
        except DeadLetterError:
            file.waits_for = _BUCKET
        except ObjectError as error:
            match error.reason:
                case "gone":
                    file.result = "gone"
                case "archived":
                    self._refuse(file, message, _ARCHIVED)
                case reason:
                    file.waits_for = reason
        except UnreadableError as error:
            self._refuse(file, message, str(error))
        except Exception as error:  # noqa: BLE001 - a file that breaks us must not stop the others
            file.crash = _crash(error)

    def flush(self) -> None:
        """Push the parts that are in memory."""
        group, self._group, self._size = self._group, [], 0
        if not group:
            return
        try:
            shipped = self.effects.ship([part.data for _, part in group])
        except Exception as error:  # noqa: BLE001 - as above
            for file, _ in group:
                file.crash = _crash(error)
            return
        for (file, part), each in zip(group, shipped, strict=True):
            self._settle(file, part, each)

    def save_undecodable(self, event: Any, reason: str) -> bool:
        """Write an event that cannot be shipped to the bucket; False: it is not written."""
        self.reports.append(Report(undecodable={reason: 1}))
        put = self.effects.put
        if put is None:
            return False
        try:
            write_undecodable(event, reason=reason, put=put)
        except DeadLetterError:
            return False
        return True

    def _read(self, file: LogFileRun) -> str | None:
        """Read a file, and give a word for how that ended; None if the file waits."""
        effects, found = self.effects, file.found
        if found.bucket == effects.bucket:
            # Shipping may write objects there, so it would never end.
            return "own_bucket"
        listed = bucket_of(found, effects.buckets)
        if listed is None:
            return "not_listed"
        if found.size == 0:
            return "empty"
        self._check_time()
        opened = effects.open_object(found)
        file.begin(opened.found, effects.progress)
        head, blocks = with_head(self._in_time(inflate(opened.chunks)))
        if not head and not any(blocks):
            return "empty"
        match effects.reader_of(opened.found, head, listed.type):
            case RefusedObject(reason=reason):
                raise UnreadableError(reason)
            case SkippedObject():
                return "skipped"
            case reader:
                for part in parts(reader, blocks, file.start, effects.account):
                    self._add(file, part)
                    if file.comes_again:
                        return None
                return "shipped"

    def _check_time(self) -> None:
        if self.effects.remaining() < _LEAST_SECONDS:
            raise _OutOfTimeError

    def _in_time(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self._check_time()
            yield block

    def _add(self, file: LogFileRun, part: Part) -> None:
        self._group.append((file, part))
        self._size += part.size
        if self._size >= PART_BYTES:
            self.flush()

    def _settle(self, file: LogFileRun, part: Part, shipped: Shipped) -> None:
        """Save what Loki did not take of a part, and note whether the part is done."""
        try:
            reasons = _save(shipped, self.effects.put)
            if not reasons:
                file.advance(part.progress, part.size, keep_every=_KEEP_EVERY)
        except DeadLetterError:
            reasons = (_BUCKET,)
        report = shipped.report(failure=None)
        self.reports.append(replace(report, hourly=()) if reasons else report)
        if reasons:
            file.waits_for = reasons[0]
            if any(cause(reason) != "settings" for reason in reasons):
                # Loki is down, or there is no time: the other files wait too.
                self._stopped = reasons[0]

    def _refuse(self, file: LogFileRun, message: Message, reason: str) -> None:
        """Name a file in `rejected/`."""
        if self.save_undecodable(message.about(file.found), reason):
            file.result = "refused"
        else:
            file.waits_for = _BUCKET


def _crash(error: Exception) -> str:
    return f"crashed_{type(error).__name__}"


def _save(shipped: Shipped, put: PutObject | None) -> tuple[str, ...]:
    """Save what Loki did not take; give the reasons if the part comes again instead.

    The lines are in S3 already, so they are only saved if Loki took others of the part.
    """
    settled = shipped.settled
    undated = {reason for reason, due in settled.deferred if due is None}
    if OUT_OF_TIME in settled.errored or (undated and not settled.delivered):
        return (*sorted(settled.errored), *sorted(undated))
    return save_undelivered(shipped, put)


def _end(message: Message, files: list[LogFileRun], shipping: _Shipping, *, is_stuck: bool) -> bool:
    """Keep the progress of a message's files, and send it anew if one waits.

    False: Lambda must send the message again. `is_stuck`: no file of the event has advanced, so one
    that took all the time must not come again at once.
    """
    if message.fault is not None:
        return shipping.save_undecodable(message.as_event, message.fault)
    try:
        for file in files:
            file.end()
    except DeadLetterError:
        return False
    if any(file.crash is not None for file in files):
        # Only this makes the message one of the dead letters in the end.
        return False
    waiting = [file for file in files if file.waits_for is not None]
    if not waiting:
        return True
    fails = any(file.waits_for != OUT_OF_TIME or (is_stuck and file.has_begun) for file in waiting)
    returns = 0 if any(file.has_advanced for file in files) else message.returns + fails
    delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(returns, 9)) if fails else 0
    body = write_notification([file.found for file in waiting], returns)
    return shipping.effects.send(message.queue, body, delay)
