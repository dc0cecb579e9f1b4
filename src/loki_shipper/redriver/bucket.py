"""The redriver's operations on the bucket, and the order in which it takes objects."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain, takewhile

from msgspec import Struct

from loki_shipper.shipper.delivery.dead_letters import FIRST_LINES

FAILED = "failed/"
LATER = "later/"
REJECTED = "rejected/"
OF_LAMBDA = "aws/lambda/"
"""Where Lambda writes its on-failure records: `async/<function>/YYYY/MM/DD/<time>-<uuid>`, and for
Kinesis `<event source mapping>/<shard>/YYYY/MM/DD/<time>-<uuid>`."""

_DATED_PARTS = 4

_ACCOUNT_DIGITS = 12

WAITING_NOW = (OF_LAMBDA, FAILED, FIRST_LINES)
"""Folders of objects that every run of the redriver tries."""

_WAITING = (*WAITING_NOW, LATER)
"""In the order of keys, so that a key marks how far a run has come."""


class BucketError(Exception):
    """Raised when the bucket cannot be listed."""


class StoredObject(Struct, frozen=True):
    """An object in a list of the bucket; `size` is in bytes, `written` is its last write."""

    key: str
    size: int
    written: datetime


class Fault(Struct, frozen=True):
    """S3 refused a request for one object; `code` is S3's error code."""

    code: str


class Bucket(Struct, frozen=True):
    """The operations on the bucket. A fault concerns one object only.

    `objects(prefix, after)` lists objects in the order of keys, after a key, page by page; it
    raises BucketError. `read(keys)` gives bodies in the order of `keys`, None for a deleted object.
    `delete(keys)` gives the faults by key; a deleted object is no fault. `move(key, to, reason)`
    stores the reason with the object. There are no conditional requests: a key depends on the
    content, so an object never changes (docs/decisions/redrive.md).
    """

    objects: Callable[[str, str], Iterator[StoredObject]]
    read: Callable[[Sequence[str]], list[bytes | Fault | None]]
    delete: Callable[[Sequence[str]], dict[str, Fault]]
    move: Callable[[str, str, str], Fault | None]


class Share(Struct, frozen=True):
    """The part of the objects that a worker takes; `worker` counts from 0."""

    worker: int = 0
    workers: int = 1

    def has(self, stored: StoredObject) -> bool:
        """Tell whether an object is in the share."""
        return zlib.crc32(stored.key.encode()) % self.workers == self.worker


EVERYTHING = Share()


def waiting(
    bucket: Bucket, now: datetime, *, share: Share, after: str = ""
) -> Iterator[StoredObject]:
    """List the objects to retry, with one page of keys in memory at a time.

    The list begins after the key `after`, wraps around, and ends at that key, so that no object
    starves. It leaves out objects that were written after `now`: a run must not take its own.
    """
    rest = _objects_after(bucket, after, now)
    first = takewhile(lambda stored: stored.key <= after, _objects_after(bucket, "", now))
    for stored in chain(rest, first if after else ()):
        if share.has(stored) and stored.written <= now:
            yield stored


def _objects_after(bucket: Bucket, after: str, now: datetime) -> Iterator[StoredObject]:
    for prefix in _WAITING:
        if after < prefix or after.startswith(prefix):
            found = bucket.objects(prefix, after if after.startswith(prefix) else "")
            yield from takewhile(_is_due(now), found) if prefix == LATER else found


def _is_due(now: datetime) -> Callable[[StoredObject], bool]:
    # The date in a key of `later/` is the time when the object is due.
    today = f"{LATER}{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}~"
    return lambda stored: stored.key <= today


def rejected(bucket: Bucket) -> Iterator[StoredObject]:
    """List the objects that Loki refused, oldest first."""
    return bucket.objects(REJECTED, "")


def sender_of(key: str) -> str | None:
    """Give the account in a key, if another account has written the object: `<folder>/<account>/…`.

    The policy of the bucket lets an account write only below its own number. The number stays in
    the key when the object is moved.
    """
    part = key.split("/")[1]
    return part if part.isdigit() and len(part) == _ACCOUNT_DIGITS else None


def key_without_folder(key: str) -> str:
    """Give the end of a key that every folder has: `YYYY/MM/DD/<time>-<id>`.

    An object of another account has the account in front of it.
    """
    if key.startswith(OF_LAMBDA):
        return "/".join(key.split("/")[-_DATED_PARTS:])
    return key.partition("/")[2]
