"""What redriving asks of the bucket, and the order in which it takes what waits there."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from heapq import merge

from msgspec import Struct

FAILED = "failed/"
REJECTED = "rejected/"
OF_LAMBDA = "aws/lambda/async/"
"""Where Lambda writes its on-failure records: `<function>/YYYY/MM/DD/<time>-<uuid>`."""


class BucketError(Exception):
    """Raised when the bucket cannot be listed, read or emptied."""


class Stored(Struct, frozen=True):
    """An object as a listing shows it; `size` is in bytes, `written` when it was last written."""

    key: str
    etag: str
    size: int
    written: datetime


class Read(Struct, frozen=True):
    """An object's body, and the entity tag of just this content."""

    body: bytes
    etag: str


class Bucket(Struct, frozen=True):
    """What redriving does to the bucket; each raises BucketError.

    `folders(prefix)` names the folders below a prefix. `objects(prefix)` lists in the order of
    keys, page by page, as far as it is asked. `read(key)` gives None where there is no such object.
    `delete(key, etag)` and `move(key, etag, to, reason)` act only while the object has this content
    and tell whether it had; the reason is kept with the object.
    """

    folders: Callable[[str], Iterable[str]]
    objects: Callable[[str], Iterator[Stored]]
    read: Callable[[str], Read | None]
    delete: Callable[[str, str], bool]
    move: Callable[[str, str, str, str], bool]


def waiting(bucket: Bucket) -> Iterator[Stored]:
    """List what waits for another try, oldest first; of each folder one page is in memory.

    Lambda's folders are found, not configured: a function that was replaced has left its own.
    """
    folders = [*bucket.folders(OF_LAMBDA), FAILED]
    return merge(*map(bucket.objects, folders), key=_time)


def rejected(bucket: Bucket) -> Iterator[Stored]:
    """List what Loki refused, oldest first."""
    return bucket.objects(REJECTED)


def dated(key: str) -> str:
    """Give a key without its folder: `YYYY/MM/DD/<time>-<id>`."""
    if key.startswith(OF_LAMBDA):
        return key.removeprefix(OF_LAMBDA).partition("/")[2]
    return key.removeprefix(FAILED).removeprefix(REJECTED)


def _time(stored: Stored) -> str:
    return dated(stored.key)
