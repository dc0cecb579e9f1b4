"""Measures how fast the built function ships a log file (`scripts/log-file-rate`).

The function runs under Lambda's runtime interface. S3 is a stand-in that sends a file from disk,
and Loki one that answers at once and counts. Without rules, our function does the same work
as lambda-promtail. With its presets it also reads fields of each line.

With `--kills`, the function is killed in the middle, and a new execution environment gets the same
message, as on Lambda. Each line is then looked for by its number.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, override

from msgspec import Struct
from msgspec.json import encode
from msgspec.structs import replace

from loki_shipper.local.progress import Tell, on_stream
from tools.artifact import SamArtifact, build_artifact
from tools.bench.runtime import ProcessEndedError, Program, run_process
from tools.bench.sink import run_sink_of
from tools.line_numbers import Arrived, LokiOnDisk, read_arrived
from tools.log_file_lines import KEY, packed_lines

_HANDLER: Final = "loki_shipper.shipper.handler.handle"
_SECONDS: Final = 900.0
_MB: Final = 1_000_000
_OURS: Final = "loki-shipper"
_MOST_MEMORY: Final = 200_000_000
_KILLS: Final = "kill our function so often, and count the lines; 1 GB of gzip needs 4 GB of disk"
_MEASURED: Final = (
    "Seconds and CPU are those of the function, during its invocations. Memory is its peak, of "
    "each execution environment. Lines are counted after each program, from a file of its pushes.\n"
)


class Measured(Struct, frozen=True):
    """A program: seconds, CPU seconds, peak bytes of memory, pushes, and whether it was done.

    `packed` are the bytes of the file. `peaks` has one peak for each execution environment: all
    but the last one were killed. `arrived` is None if nobody counted.
    """

    name: str
    packed: int
    seconds: float
    cpu_seconds: float
    peaks: list[int]
    pushes: int
    is_done: bool
    arrived: Arrived | None = None

    @property
    def kills(self) -> int:
        """How often the program was killed."""
        return len(self.peaks) - 1


class _File(Struct, frozen=True):
    """A log file on disk, and the bytes of its text."""

    path: Path
    size: int


class _Attempt(Struct, frozen=True):
    """One invocation until its answer or its kill. `is_done`: None if it was killed."""

    seconds: float
    cpu_seconds: float
    peak: int
    is_done: bool | None


def measure(
    lines: int,
    artifact: SamArtifact,
    folder: Path,
    theirs: Path | None = None,
    *,
    kills: int | None = None,
) -> Iterator[Measured]:
    """Ship a file of so many lines with each program; `theirs` is a binary of lambda-promtail.

    With `kills`, the first program is killed so often, and the lines of each one are counted.
    """
    file = _write_file(folder / "file.log.gz", lines)
    kept = None if kills is None else folder / "pushes"
    times = kills or 0
    with _serve(file.path) as s3:
        for name, program in _programs(s3, artifact, theirs):
            with run_sink_of(partial(LokiOnDisk, file=kept)) as loki:
                measured = _measured(name, program, loki, file, times)
            if kept is not None:
                measured = replace(measured, arrived=read_arrived(kept, lines))
                kept.unlink()
            yield measured
            times = 0


def _write_file(path: Path, lines: int) -> _File:
    now, size = time.time(), 0
    with path.open("wb") as written:
        for part in packed_lines(lines, oldest=now - 1500, newest=now - 60):
            written.write(part)
            # Gzip ends with the size of its text.
            size += int.from_bytes(part[-4:], "little")
    return _File(path, size)


def _programs(
    s3: str, artifact: SamArtifact, theirs: Path | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    aws = {"AWS_ENDPOINT_URL": s3, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}
    python = [sys.executable, "-S", "-m", "awslambdaric", _HANDLER]
    ours = aws | {"LOG_BUCKETS": "my-logs", "TAG_LABELS": "none", "BUCKET": "our-bucket"}
    paths = (*artifact.paths, *_runtime())
    for name, rules in ((_OURS, ""), (f"{_OURS}, RULES=none", "none")):
        env = ours | {"RULES": rules}
        yield name, {"command": python, "env": env, "paths": paths, "cwd": artifact.function}
    if theirs is not None:
        # Its SDK puts the bucket into the host name, which the proxy makes reachable.
        env = aws | {"HTTP_PROXY": s3, "AWS_ENDPOINT_URL": s3.replace("127.0.0.1", "localhost")}
        env |= {"KEEP_STREAM": "false", "PRINT_LOG_LINE": "false"}
        yield "lambda-promtail", {"command": [str(theirs)], "env": env}


def _runtime() -> Iterator[Path]:
    """Give the folder of `awslambdaric`, which Lambda has beside the function."""
    for path in map(Path, sys.path):
        if (path / "awslambdaric").is_dir():
            yield path
            return


def _measured(
    name: str, program: Mapping[str, Any], loki: LokiOnDisk, file: _File, kills: int
) -> Measured:
    env = program["env"] | {"LOKI_URL": loki.url, "WRITE_ADDRESS": f"{loki.url}/loki/api/v1/push"}
    started = Program(**{**program, "env": env})
    # Each killed environment pushes so much. What it pushes has also labels and fields.
    share = file.size // (kills + 1)
    attempts = [
        _attempt(started, loki, received, share if received <= kills else None)
        for received in range(1, kills + 2)
    ]
    return Measured(
        name,
        file.path.stat().st_size,
        sum(each.seconds for each in attempts),
        sum(each.cpu_seconds for each in attempts),
        [each.peak for each in attempts],
        loki.pushes,
        [each.is_done for each in attempts] == [*repeat(None, kills), True],
    )


def _attempt(program: Program, loki: LokiOnDisk, received: int, share: int | None) -> _Attempt:
    """Give the message to a new execution environment, and kill it after `share` bytes."""
    with run_process(program) as process:
        began_with, before, began = loki.bytes, process.cpu_seconds, time.perf_counter()
        killed: list[_Attempt] = []

        def used(seconds: float, *, is_done: bool | None) -> _Attempt:
            return _Attempt(seconds, process.cpu_seconds - before, process.peak_rss, is_done)

        def watch(pushed: int) -> None:
            if share is not None and not killed and pushed - began_with >= share:
                killed.append(used(time.perf_counter() - began, is_done=None))
                process.kill()

        loki.watch = watch
        try:
            answered = process.invoke(_event(received), seconds=_SECONDS)
        except ProcessEndedError:
            if not killed:
                raise
            return killed[0]
        # A message that comes again is sent to the queue, which does not exist here.
        is_done = answered.response in ({"batchItemFailures": []}, None)
        return used(answered.seconds, is_done=is_done)


def _event(received: int) -> bytes:
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "awsRegion": "eu-central-1",
        "s3": {"bucket": {"name": "my-logs"}, "object": {"key": KEY}},
    }
    message = {
        "messageId": "1",
        "receiptHandle": "1",
        "body": encode({"Records": [record]}).decode(),
        "attributes": {"ApproximateReceiveCount": str(received)},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:log-files",
        "awsRegion": "eu-central-1",
    }
    return encode({"Records": [message]})


class _S3(ThreadingHTTPServer):
    """Has the file, and keeps objects, such as the progress, by their path."""

    daemon_threads = True
    file: Path
    kept: dict[str, bytes]

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing when a killed process leaves its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _S3Connection(BaseHTTPRequestHandler):
    """Sends the file, and keeps other objects."""

    protocol_version = "HTTP/1.1"
    server: _S3

    def do_GET(self) -> None:
        if KEY in self.path:
            self._answer(200, self.server.file.stat().st_size)
            with self.server.file.open("rb") as file, suppress(OSError):
                self.connection.sendfile(file)
            return
        body = self.server.kept.get(self._place)
        self._answer(404 if body is None else 200, len(body or b""))
        self.wfile.write(body or b"")

    def do_PUT(self) -> None:
        self.server.kept[self._place] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_DELETE(self) -> None:
        self.server.kept.pop(self._place, None)
        self._answer(204)

    @property
    def _place(self) -> str:
        return self.path.partition("?")[0]

    def _answer(self, status: int, length: int = 0) -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(length))
        self.end_headers()

    @override
    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def _serve(file: Path) -> Iterator[str]:
    with _S3(("127.0.0.1", 0), _S3Connection) as server:
        server.file, server.kept = file, {}
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def described(measured: Measured) -> str:
    """Write a line about a program."""
    megabytes = measured.packed / _MB
    peaks = ", ".join(f"{peak / _MB:.0f}" for peak in measured.peaks)
    killed = f", killed {measured.kills} times" if measured.kills else ""
    return (
        f"{measured.name}{killed}: {megabytes:.0f} MB of gzip in {measured.seconds:.1f} s, "
        f"{megabytes / measured.seconds:.2f} MB/s, {measured.cpu_seconds:.1f} s of CPU, "
        f"{peaks} MB of memory, {measured.pushes:,} pushes"
        f"{'' if measured.is_done else ', not done in time'}{_counted(measured.arrived)}\n"
    )


def _counted(arrived: Arrived | None) -> str:
    if arrived is None:
        return ""
    return (
        f"; {arrived.arrived:,} of {arrived.lines:,} lines arrived, {arrived.same:,} came again "
        f"with the same labels, nanosecond and text, {arrived.other:,} with others"
    )


def _is_proved(measured: Measured) -> bool:
    if measured.arrived is None:
        return True
    is_small = max(measured.peaks) < _MOST_MEMORY
    return measured.is_done and is_small and measured.arrived.is_each_once


def main(arguments: Sequence[str], tell: Tell) -> int:
    """Measure, and print a line for each program.

    With `--kills`, give 1 if ours was not done, took 200 MB, or Loki would not hold each line once.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=1_000_000, help="17,000,000 are 1 GB of gzip")
    parser.add_argument("--lambda-promtail", type=Path, help="measure this binary too")
    parser.add_argument("--kills", type=int, help=_KILLS)
    chosen = parser.parse_args(arguments)
    artifact = build_artifact(os.environ, tell)
    is_proved = True
    sys.stdout.write(_MEASURED)
    with TemporaryDirectory() as folder:
        for each in measure(
            chosen.lines, artifact, Path(folder), chosen.lambda_promtail, kills=chosen.kills
        ):
            sys.stdout.write(described(each))
            sys.stdout.flush()
            is_proved &= _is_proved(each) or not each.name.startswith(_OURS)
    return 0 if is_proved else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], on_stream()))
