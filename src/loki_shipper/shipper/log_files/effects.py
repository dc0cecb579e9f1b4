"""The effects that shipping log files needs, and what they give."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from loki_shipper.formats import LogBucket
from loki_shipper.model import LogData, S3Object
from loki_shipper.shipper.delivery.dead_letters import PutObject
from loki_shipper.shipper.delivery.outcome import Shipped
from loki_shipper.shipper.log_files.reader import LogFileReader, RefusedObject, SkippedObject

type ObjectReason = Literal["gone", "archived", "denied", "kms_denied", "unreachable"]


class ObjectError(Exception):
    """Raised when S3 does not give an object, or the rest of it.

    `gone`: it, or this version, does not exist any more. `archived`: its storage class must be
    restored first. `denied` and `kms_denied`: the function may not read it, or not use its key.
    """

    def __init__(self, reason: ObjectReason) -> None:
        super().__init__(reason)
        self.reason = reason


class OpenObject(Struct, frozen=True):
    """An object with its ETag, size and time of writing, and its bytes.

    `chunks` raises ObjectError.
    """

    found: S3Object
    chunks: Iterator[bytes]


class FileProgress(Struct, frozen=True):
    """How far a log file has been shipped: the number of lines, and the time of the last one in ms.

    Each of these lines is in Loki, or dropped, or in the stack's bucket.
    """

    lines: int = 0
    time: int = 0


class ProgressStore(Struct, frozen=True):
    """Keeps the progress of log files in the bucket, each under a name.

    `read` gives the beginning for a file without progress. `write` raises DeadLetterError.
    """

    read: Callable[[str], FileProgress]
    write: Callable[[str, FileProgress], None]
    delete: Callable[[str], None]


class LogFileEffects(Struct, frozen=True):
    """What shipping log files needs.

    `account` is the function's. `open_object` raises ObjectError. `reader_of(object, first bytes of
    its text, type)` says how to read an object. `ship` pushes payloads and gives the result of
    each. `put` writes to the stack's `bucket`. `send(queue's ARN, body, seconds)` sends a message
    that comes after some seconds; False: it was not sent. `remaining` is in seconds.
    """

    account: str
    buckets: tuple[LogBucket, ...]
    bucket: str | None
    open_object: Callable[[S3Object], OpenObject]
    reader_of: Callable[
        [S3Object, bytes, str | None], LogFileReader | RefusedObject | SkippedObject
    ]
    ship: Callable[[Sequence[LogData]], list[Shipped]]
    put: PutObject | None
    progress: ProgressStore
    send: Callable[[str, str, int], bool]
    remaining: Callable[[], float]
