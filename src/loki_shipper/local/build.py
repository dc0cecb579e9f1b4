"""Builds that run once on this machine and report their progress."""

import fcntl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from loki_shipper.local.progress import Tell, clock_face


@contextmanager
def locked(file: Path, what: str, tell: Tell) -> Iterator[None]:
    """Hold a lock between processes; the system releases it when the process ends.

    `what` names the holder for a process that waits: "another build of Loki".
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


def run_build(  # noqa: PLR0913 - each is a part of how a process runs
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path, what: str, tell: Tell
) -> int:
    """Run a command with its output in `log`, report every second, and return its exit code.

    An exception kills the process.
    """
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while _is_running(process):
                tell(f"{what}: {clock_face(time.monotonic() - began)}")
        finally:
            process.kill()
            tell("")
    return process.returncode


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    """Wait up to a second for the end of a process."""
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return True
    return False
