"""Runs a handler in an execution environment: Lambda's Runtime API with `awslambdaric`."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final, override

from msgspec import Struct

from loki_shipper.aws.arn import Origin, function_arn

_RUNTIME: Final = "/2018-06-01/runtime"
_INIT_SECONDS = 60.0
_FUNCTION = "loki-shipper-local"
# `awslambdaric` and its dependencies, which Lambda also keeps separate from the function.
_RUNTIME_PACKAGES = ("awslambdaric", "simplejson", "snapshot-restore-py")


class Response(Struct, frozen=True):
    """The handler's return value, read from JSON."""

    payload: Any


class FunctionError(Struct, frozen=True):
    """The exception of the handler, or of its import."""

    error_message: str
    error_type: str
    stack_trace: list[str]


class Died(Struct, frozen=True):
    """The process ended without an answer; a negative code is a signal."""

    returncode: int


class TimedOut(Struct, frozen=True):
    """The deadline passed, and the process was killed, as on Lambda."""


type InvocationOutcome = Response | FunctionError | Died | TimedOut


class _Invocation(Struct, frozen=True):
    id: str
    body: bytes
    deadline_ms: int


class ExecutionEnvironment:
    """One process of `awslambdaric`, made by `run_execution_environment`; not thread-safe."""

    def __init__(self, log: Path, region: str) -> None:
        self.init_error: FunctionError | None = None
        """The exception of the handler's import, if any."""
        self.init_seconds: float | None = None
        """From the start of the process to its first request for an event."""
        self.request_id: str | None = None
        """Of the last invocation."""
        self.arn = function_arn(Origin("aws", region, "123456789012"), _FUNCTION)
        self._log = log
        self._invocations: queue.SimpleQueue[_Invocation | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[str, InvocationOutcome]] = queue.SimpleQueue()
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._started = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def log_lines(self) -> list[str]:
        """The output of the process so far; Lambda sends it to CloudWatch Logs."""
        return self._log.read_text(errors="replace").splitlines()

    @property
    def peak_rss(self) -> int | None:
        """The peak memory of the process, in bytes; None when it has ended."""
        with suppress(OSError):
            return peak_rss(self.pid)
        return None

    def invoke(self, event: object, *, deadline_ms: int = 60_000) -> InvocationOutcome:
        """Invoke the handler with one event and wait for its answer.

        `event` is JSON as `bytes`, or a value to encode. After `deadline_ms`, the process is
        killed.
        """
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        invocation = _Invocation(str(uuid.uuid4()), body, deadline_ms)
        self.request_id = invocation.id
        if not self.wait_for_init():
            return self._end()
        self._invocations.put(invocation)
        try:
            about, result = self._results.get(timeout=deadline_ms / 1000)
        except queue.Empty:
            self.kill()
            return TimedOut()
        # The end of the process has no invocation.
        assert about in {invocation.id, ""}
        return result

    def wait_for_init(self, seconds: float = _INIT_SECONDS) -> bool:
        """Wait until the process requests an event; False if it ended or took too long."""
        self._asked.wait(seconds)
        if not self._asked.is_set():
            self.kill()
        return not self._ended.is_set()

    def kill(self) -> None:
        """Kill the process without a signal that it could handle."""
        assert self._process is not None
        self._process.kill()
        self._ended.wait()

    def _end(self) -> Died:
        assert self._process is not None
        return Died(self._process.returncode)

    def run(self, command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
        """Start the process, and a thread that waits for its end."""
        with self._log.open("ab") as log:
            self._started = time.monotonic()
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                # Unlike a pipe, a file has all output from before the answer.
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        assert self._process is not None
        self._process.wait()
        self._ended.set()
        self._asked.set()
        self._invocations.put(None)
        self._results.put(("", self._end()))

    def next_invocation(self) -> _Invocation | None:
        """Wait for the next event; None when the process has ended."""
        if self.init_seconds is None:
            self.init_seconds = time.monotonic() - self._started
        self._asked.set()
        return self._invocations.get()

    def answered(self, path: str, body: bytes) -> None:
        """Handle a POST request of the process to the Runtime API."""
        match path.removeprefix(_RUNTIME).strip("/").split("/"):
            case ["invocation", about, "response"]:
                self._results.put((about, Response(json.loads(body))))
            case ["invocation", about, "error"]:
                self._results.put((about, _function_error(body)))
            case ["init", "error"]:
                self.init_error = _function_error(body)
            case _:
                raise LookupError(path)


def _function_error(body: bytes) -> FunctionError:
    error = json.loads(body)
    return FunctionError(
        error.get("errorMessage", ""), error.get("errorType", ""), error.get("stackTrace", [])
    )


def peak_rss(pid: int) -> int | None:
    """Read the peak memory of a process, in bytes; None for one that ended. Raises OSError."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


class Interpreter(Struct, frozen=True):
    """A Python for a handler: its executable, and a folder made by `runtime_alone`."""

    python: Path
    runtime: Path


@contextmanager
def run_execution_environment(  # noqa: PLR0913 - Lambda's own parameters
    handler: str,
    *,
    paths: Sequence[Path] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    alone: bool = False,
    interpreter: Interpreter | None = None,
) -> Iterator[ExecutionEnvironment]:
    """Run a handler (`package.module.function`) inside a `with` block.

    `paths` come first on the import path, as the function's folder and its layer's `python/` do
    on Lambda. `env` is added to Lambda's variables. With `alone`, the process can import only from
    `paths`, the standard library and `awslambdaric`: a package that the deployment lacks is then
    missing here too. An `interpreter` is another Python, where the handler is always alone.
    """
    with tempfile.TemporaryDirectory(prefix="loki-shipper-function-") as name:
        directory = Path(name)
        region = (env or {}).get("AWS_REGION", "eu-central-1")
        environment = ExecutionEnvironment(directory / "log", region)
        if alone and interpreter is None:
            interpreter = Interpreter(Path(sys.executable), runtime_alone(directory / "runtime"))
        with _serve(environment) as address:
            found = [*paths, *([interpreter.runtime] if interpreter else [])]
            python = [os.fspath(interpreter.python), "-S"] if interpreter else [sys.executable]
            environment.run(
                [*python, "-m", "awslambdaric", handler],
                cwd or directory,
                {**lambda_environment(address, region, found), **(env or {})},
            )
            try:
                yield environment
            finally:
                environment.kill()


def lambda_environment(address: str, region: str, paths: Sequence[Path]) -> dict[str, str]:
    """Return the variables that Lambda sets; this process's variables are left out."""
    return {
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_LAMBDA_FUNCTION_NAME": _FUNCTION,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{_FUNCTION}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef",
        "AWS_LAMBDA_RUNTIME_API": address,
        "LANG": "en_US.UTF-8",
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(map(os.fspath, paths)),
        "TZ": ":UTC",
    }


def runtime_alone(directory: Path) -> Path:
    """Make a folder with only `awslambdaric` and its dependencies."""
    directory.mkdir()
    for package in map(distribution, _RUNTIME_PACKAGES):
        tops = {file.parts[0] for file in package.files or []}
        for top in tops - {"..", "__pycache__"}:
            (directory / top).symlink_to(str(package.locate_file(top)))
    return directory


@contextmanager
def _serve(environment: ExecutionEnvironment) -> Iterator[str]:
    with _RuntimeServer(("127.0.0.1", 0), _RuntimeConnection) as server:
        server.environment = environment
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _RuntimeServer(ThreadingHTTPServer):
    daemon_threads = True
    environment: ExecutionEnvironment

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing when a killed process leaves its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _RuntimeConnection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Buffered: an answer is sent in one piece.
    wbufsize = -1
    server: _RuntimeServer

    def do_GET(self) -> None:
        if self.path != f"{_RUNTIME}/invocation/next":
            self._send(404, b"{}", {})
            return
        invocation = self.server.environment.next_invocation()
        if invocation is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.server.environment.arn,
            "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
        }
        self._send(200, invocation.body, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # The answer comes first: after the result, the caller may send the next event at once.
        self._send(202, b'{"status":"OK"}', {})
        self.server.environment.answered(self.path, body)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        # Without a Content-Type, the runtime's C++ client ends with SIGSEGV.
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    @override
    def log_message(self, *_: Any) -> None:
        """Log nothing."""
