"""What the redriver does to the bucket, and which objects it takes in which order."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import chain, takewhile

from msgspec import Struct

FAILED = "failed/"
LATER = "later/"
REJECTED = "rejected/"
OF_LAMBDA = "aws/lambda/"
"""Where Lambda writes its on-failure records: `async/<function>/YYYY/MM/DD/<time>-<uuid>`, and for
Kinesis `<event source mapping>/<shard>/YYYY/MM/DD/<time>-<uuid>`."""

_DATED_PARTS = 4

_WAITING = (OF_LAMBDA, FAILED, LATER)
"""In the order of keys, so that a key says how far a run has come."""


class BucketError(Exception):
    """Raised when the bucket cannot be listed."""


class StoredObject(Struct, frozen=True):
    """An object as a listing shows it; `size` is in bytes, `written` when it was last written."""

    key: str
    size: int
    written: datetime


class Fault(Struct, frozen=True):
    """S3 did not do what was asked of one object; `code` is its name for the reason."""

    code: str


class Bucket(Struct, frozen=True):
    """What redriving does to the bucket. A fault concerns one object, and the others are done.

    `objects(prefix, after)` lists in the order of keys, from behind a key, page by page; it raises
    BucketError. `read(keys)` gives the bodies in the order of the keys, None for what is gone.
    `delete(keys)` gives the faults by key; what is gone already is no fault.
    `move(key, to, reason)` keeps the reason with the object. Nothing here asks whether an object
    has changed: its key is made of its content, so it never does (docs/decisions/redrive.md).
    """

    objects: Callable[[str, str], Iterator[StoredObject]]
    read: Callable[[Sequence[str]], list[bytes | Fault | None]]
    delete: Callable[[Sequence[str]], dict[str, Fault]]
    move: Callable[[str, str, str], Fault | None]


class Share(Struct, frozen=True):
    """Which part of the objects a worker takes: those of its number, from 0, among so many."""

    worker: int = 0
    workers: int = 1

    def has(self, stored: StoredObject) -> bool:
        """Tell whether an object is in the share."""
        return zlib.crc32(stored.key.encode()) % self.workers == self.worker


EVERYTHING = Share()


def waiting(
    bucket: Bucket, now: datetime, *, share: Share, after: str = ""
) -> Iterator[StoredObject]:
    """List what waits for another try, one page of keys in memory at a time.

    Begins behind the key `after`, goes on at the beginning, and ends at that key, so that every
    object has its turn. What was written after `now` waits for the next run: a run must not live on
    its own work.
    """
    behind = _behind(bucket, after, now)
    before = takewhile(lambda stored: stored.key <= after, _behind(bucket, "", now))
    for stored in chain(behind, before if after else ()):
        if share.has(stored) and stored.written <= now:
            yield stored


def _behind(bucket: Bucket, after: str, now: datetime) -> Iterator[StoredObject]:
    for prefix in _WAITING:
        if after < prefix or after.startswith(prefix):
            found = bucket.objects(prefix, after if after.startswith(prefix) else "")
            yield from takewhile(_is_due(now), found) if prefix == LATER else found


def _is_due(now: datetime) -> Callable[[StoredObject], bool]:
    # An object of `later/` is dated by when it is due.
    today = f"{LATER}{now:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}~"
    return lambda stored: stored.key <= today


def rejected(bucket: Bucket) -> Iterator[StoredObject]:
    """List what Loki refused, oldest first."""
    return bucket.objects(REJECTED, "")


def dated(key: str) -> str:
    """Return the end of a key that every folder has: `YYYY/MM/DD/<time>-<id>`."""
    if key.startswith(OF_LAMBDA):
        return "/".join(key.split("/")[-_DATED_PARTS:])
    return key.partition("/")[2]
