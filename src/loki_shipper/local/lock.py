"""A lock between processes of this machine, for what only one of them should build."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loki_shipper.local.progress import Tell, clock_face


@contextmanager
def locked(file: Path, what: str, tell: Tell) -> Iterator[None]:
    """Hold the lock on a file; the system lets go of it even when we are killed.

    `what` is said to whoever waits: "another build of Loki".
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as held:
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                tell(f"waiting for {what}: {clock_face(time.monotonic() - began)}")
                time.sleep(0.5)
        yield
