"""Changes an object of the bucket that others change too, so that nobody's change is lost."""

from collections.abc import Callable
from typing import Protocol

_TRIES = 10


class ConflictError(Exception):
    """Raised when others kept changing the object."""


class Objects(Protocol):
    """The bucket: reads an object with its ETag, writes it if it is still the one of that ETag."""

    def read_object(self, key: str) -> tuple[bytes, str] | None:
        """Read it; None: there is none."""
        ...

    def write_object(self, key: str, body: bytes, etag: str | None) -> bool:
        """Write it; False: it is another one by now."""
        ...

    def wait(self, tries: int) -> None:
        """Wait for a random time after so many tries that failed."""
        ...


def update(key: str, change: Callable[[bytes | None], bytes], objects: Objects) -> None:
    """Read, change, write, and again if somebody else wrote meanwhile.

    Raises ConflictError, or AwsError.
    """
    for tries in range(_TRIES):
        if tries:
            objects.wait(tries)
        found = objects.read_object(key)
        body, etag = (None, None) if found is None else found
        changed = change(body)
        if changed == body or objects.write_object(key, changed, etag):
            return
    raise ConflictError(f"{key} is being changed by others all the time")
