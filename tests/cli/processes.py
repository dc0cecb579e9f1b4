"""Runs commands as processes of their own: in a pipe, on a terminal, until Ctrl-C."""

import os
import pty
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from loki_shipper.settings import variables

# A shell gives what it starts in the background a SIGINT that is ignored, and pytest may be that.
_CODE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from loki_shipper.cli import main
main(prog_name="loki-shipper")
"""
COMMAND = [sys.executable, "-c", _CODE]
_OURS = {*variables(), "COLUMNS", "FORCE_COLOR", "NO_COLOR", "TERM"}


class Ended(Struct, frozen=True):
    """How a process ended, and what it printed; on a terminal both streams are in `stdout`."""

    exit_code: int
    stdout: str
    stderr: str = ""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Give this process's environment without settings, and with these."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS}
    return kept | dict(environ)


def in_closed_pipe(words: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run a command with a pipe that is closed before the command prints."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*COMMAND, *words],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment(environ),
        text=True,
    ) as process:
        os.close(writing)
        os.close(reading)
        _, stderr = process.communicate(timeout=60)
    return Ended(process.returncode, "", stderr)


def on_terminal(
    words: Sequence[str], columns: int, environ: Mapping[str, str], answer: str = ""
) -> Ended:
    """Run a command on a terminal of so many columns, at which a person types an answer."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, columns))
    with subprocess.Popen(
        [*COMMAND, *words], stdin=its, stdout=its, stderr=its, env=environment(environ)
    ) as process:
        os.close(its)
        os.write(ours, answer.encode())
        shown = b"".join(iter(lambda: _read(ours), b""))
        process.wait(timeout=60)
    os.close(ours)
    return Ended(process.returncode, shown.decode().replace("\r\n", "\n"))


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:
        # Linux ends a terminal that nobody holds with an error.
        return b""


@contextmanager
def running(words: Sequence[str], environ: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command as long as the block lasts, and kill it if it is still there then."""
    with subprocess.Popen(
        [*COMMAND, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(environ),
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupted(process: subprocess.Popen[str]) -> Ended:
    """Send Ctrl-C to a process, and wait for its end.

    Python does not see a signal that comes between its last look and a call that blocks, so what
    has not ended gets another one, as from a person.
    """
    for _ in range(6):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            stdout, stderr = process.communicate(timeout=10)
            return Ended(process.returncode, stdout, stderr)
    raise TimeoutError(process.args)


class Silent:
    """A server that takes connections and never answers; `url` is where it listens."""

    def __init__(self, listening: socket.socket) -> None:
        self.url = "http://{}:{}".format(*listening.getsockname())
        self.asked = threading.Event()
        self._listening = listening
        self._taken: list[socket.socket] = []

    def take(self) -> None:
        """Take connections until the server is closed; a request in one sets `asked`."""
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            self._taken.append(taken)
            # What only tries the connection sends nothing.
            if taken.recv(1):
                self.asked.set()

    def close(self) -> None:
        """Stop the server and close its connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._taken:
            each.close()


@contextmanager
def silent_server() -> Iterator[Silent]:
    """Run a server that never answers as long as the block lasts."""
    server = Silent(socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=server.take)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join()


@contextmanager
def read_by(process_is_reading: Path) -> Iterator[None]:
    """Wait until somebody reads a FIFO, and keep it open without writing as long as it lasts."""
    with process_is_reading.open("wb"):
        yield
