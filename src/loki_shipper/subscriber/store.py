"""Changes an object of the bucket that other writers change too, without losing a change."""

from collections.abc import Callable
from typing import Protocol

from loki_shipper.aws.objects import ObjectFound, ObjectRead, ObjectWrite, ObjectWritten

_MAX_ATTEMPTS = 10


class ConflictError(Exception):
    """Raised when other writers changed the object before each attempt to write it."""


class Objects(Protocol):
    """The objects of a bucket. The methods raise AwsError."""

    def read_object(self, key: str) -> ObjectRead:
        """Read an object."""
        ...

    def write_object(self, key: str, body: bytes, etag: str | None) -> ObjectWrite:
        """Write an object that still has this ETag; None: that does not exist."""
        ...

    def wait(self, attempts: int) -> None:
        """Wait a random time, after this many writes that conflicted."""
        ...


def update(key: str, change: Callable[[bytes | None], bytes], objects: Objects) -> None:
    """Read an object, change it and write it, again after each conflict with another writer.

    `change` gets None for a missing object. Raises ConflictError, or AwsError.
    """
    for attempts in range(_MAX_ATTEMPTS):
        if attempts:
            objects.wait(attempts)
        found = objects.read_object(key)
        body, etag = (found.body, found.etag) if isinstance(found, ObjectFound) else (None, None)
        changed = change(body)
        if changed == body or objects.write_object(key, changed, etag) == ObjectWritten():
            return
    raise ConflictError(f"{key} is being changed by others all the time")
