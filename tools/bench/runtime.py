"""Measures invocations with a Runtime API on a plain socket that parses very little HTTP.

The server of `local/runtime_api.py` takes longer than an empty invocation. This one measures from
the last byte of the answer to `/next` to the first byte of the POST with the response.
"""

import json
import os
import selectors
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from loki_shipper.local.runtime_api import lambda_environment, peak_rss

_ARN: Final = "arn:aws:lambda:eu-central-1:123456789012:function:loki-shipper-local"
_INIT_SECONDS = 30.0
_INVOCATION_SECONDS = 60.0
_SETTLE = 0.005
"""Seconds for the work of a process after its response."""

_ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
    b'Content-Length: 15\r\n\r\n{"status":"OK"}'
)
_CPUCLOCK_SCHED = 2
_PID_SHIFT = 3


class Program(Struct, frozen=True):
    """A command, its folder (None: an empty one), and its environment.

    `paths` come first on Python's import path.
    """

    command: Sequence[str]
    env: Mapping[str, str]
    paths: Sequence[Path] = ()
    cwd: Path | None = None


class Answered(Struct, frozen=True):
    """One invocation: its seconds, and its response, read from JSON."""

    seconds: float
    response: Any


class ProcessEndedError(Exception):
    """The process ended during an invocation."""


class _Request(Struct, frozen=True):
    connection: socket.socket
    arrived: float
    line: bytes
    body: bytes


class Process:
    """One process that answers invocations; made by `run_process`."""

    def __init__(self, listener: socket.socket, log: Path) -> None:
        self.init_seconds = 0.0
        """From the start of the process to its first request for an event."""
        self._listener = listener
        self._log = log
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._waiting: socket.socket | None = None
        self._invocations = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._end: int | None = None
        """A file descriptor that is ready when the process has ended."""

    def start(self, program: Program, folder: Path) -> None:
        """Start the process and wait until it requests an event."""
        address = "{}:{}".format(*self._listener.getsockname())
        env = {**lambda_environment(address, "eu-central-1", program.paths), **program.env}
        with self._log.open("ab") as log:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                program.command,
                cwd=program.cwd or folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._end = os.pidfd_open(self._pid)
        self._selector.register(self._end, selectors.EVENT_READ)
        self.init_seconds = self._wait_for_next(_INIT_SECONDS) - began

    def invoke(self, body: bytes, *, seconds: float = _INVOCATION_SECONDS) -> Answered:
        """Invoke the handler; return when the process requests the next event.

        Raises:
            ProcessEndedError: the process was killed, or ended itself.
        """
        assert self._waiting is not None
        self._invocations += 1
        deadline = int((time.time() + seconds) * 1000)
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {self._invocations:036}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {_ARN}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._waiting.sendall(head.encode() + body[:-1])
        sent = time.perf_counter()
        # The process cannot start before it has this byte, and the clock is read before.
        self._waiting.sendall(body[-1:])
        self._waiting = None
        request = self._request(seconds)
        request.connection.sendall(_ACCEPTED)
        self._wait_for_next(_INVOCATION_SECONDS)
        time.sleep(_SETTLE)
        if not request.line.split()[1].endswith(b"/response"):
            raise AssertionError(self._failure(request.body))
        return Answered(request.arrived - sent, json.loads(request.body or b"null"))

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of all threads of the process so far."""
        # clock_getcpuclockid(3) calculates the id of a process's clock like this.
        return time.clock_gettime(~self._pid << _PID_SHIFT | _CPUCLOCK_SCHED)

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def peak_rss(self) -> int:
        """The peak memory of the process, in bytes."""
        peak = peak_rss(self._pid)
        assert peak is not None
        return peak

    @property
    def log_bytes(self) -> int:
        """The bytes of the process's log so far; CloudWatch Logs charges for them."""
        return self._log.stat().st_size

    def _wait_for_next(self, seconds: float) -> float:
        """Wait until the process requests an event; return the time of the request."""
        request = self._request(seconds)
        if not request.line.startswith(b"GET "):
            raise AssertionError(self._failure(request.body))
        self._waiting = request.connection
        return request.arrived

    def _request(self, seconds: float) -> _Request:
        while True:
            ready = self._selector.select(seconds)
            arrived = time.perf_counter()
            if not ready:
                raise AssertionError(self._failure(b"no answer"))
            for key, _ in ready:
                if key.fileobj == self._end:
                    raise ProcessEndedError(self._failure(b"it ended"))
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._selector.register(connection, selectors.EVENT_READ)
                    continue
                connection = key.fileobj  # type: ignore[assignment] # we register sockets only
                read = _read(connection)
                if read is not None:
                    return _Request(connection, arrived, *read)
                self._selector.unregister(connection)
                connection.close()

    def _failure(self, body: bytes) -> str:
        log = self._log.read_text(errors="replace")[-2000:]
        return f"the process failed: {body.decode(errors='replace')[:500]}\n{log}"

    def kill(self) -> None:
        """Kill the process without a signal that it could handle."""
        assert self._process is not None
        self._process.kill()

    def close(self) -> None:
        """Kill the process and close every socket."""
        if self._process is not None:
            self.kill()
            self._process.wait()
        if self._end is not None:
            self._selector.unregister(self._end)
            os.close(self._end)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr] # we register sockets only
        self._selector.close()


def _read(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """Read one request, its first line and its body; None when the connection was closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, _, rest = head.partition(b"\r\n")
    headers = rest.lower()
    if b"transfer-encoding: chunked" in headers:
        # The last chunk is empty; trailers may follow it.
        while not (body.endswith(b"\r\n\r\n") and (b"\r\n0\r\n" in body or body[:1] == b"0")):
            body += connection.recv(65536)
        return line, _dechunked(body)
    length = 0
    if b"content-length:" in headers:
        length = int(headers.partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return line, body


def _dechunked(body: bytes) -> bytes:
    parts: list[bytes] = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            break
        parts.append(body[:length])
        body = body[length + 2 :]
    return b"".join(parts)


@contextmanager
def run_process(program: Program) -> Iterator[Process]:
    """Run a program inside a `with` block, from its first request for an event."""
    with (
        tempfile.TemporaryDirectory(prefix="loki-shipper-bench-") as name,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        folder = Path(name)
        process = Process(listener, folder / "log")
        try:
            process.start(program, folder)
            yield process
        finally:
            process.close()
