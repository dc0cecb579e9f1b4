"""Measures how fast the built function ships a log file (`scripts/log-file-rate`).

The function runs under Lambda's runtime interface. S3 is a stand-in that sends a file from disk,
and Loki one that answers at once and only counts. Without rules, our function does the same work
as lambda-promtail. With its presets it also reads fields of each line.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, override

from msgspec import Struct
from msgspec.json import encode

from loki_shipper.local.progress import Tell, on_stream
from tools.artifact import SamArtifact, build_artifact
from tools.bench.runtime import Program, run_process
from tools.bench.sink import InstantLoki, run_sink_of
from tools.log_file_lines import KEY, packed_lines

_HANDLER: Final = "loki_shipper.shipper.handler.handle"
_SECONDS: Final = 900.0
_MB: Final = 1_000_000


class Measured(Struct, frozen=True):
    """A program: seconds, CPU seconds, peak bytes of memory, pushes, and whether it was done.

    `packed` are the bytes of the file.
    """

    name: str
    packed: int
    seconds: float
    cpu_seconds: float
    peak: int
    pushes: int
    is_done: bool


class CountingLoki(InstantLoki):
    """Counts pushes, and keeps none."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.pushes = 0

    @override
    def keep(self, headers: dict[str, str], body: bytes) -> None:
        self.pushes += 1


def measure(
    lines: int, artifact: SamArtifact, folder: Path, theirs: Path | None = None
) -> Iterator[Measured]:
    """Ship a file of so many lines with each program; `theirs` is a binary of lambda-promtail."""
    file = folder / "file.log.gz"
    now = time.time()
    with file.open("wb") as written:
        for part in packed_lines(lines, oldest=now - 1500, newest=now - 60):
            written.write(part)
    with _serve(file) as s3:
        for name, program in _programs(s3, artifact, theirs):
            with run_sink_of(CountingLoki) as loki:
                yield _measured(name, program, loki, file)


def _programs(
    s3: str, artifact: SamArtifact, theirs: Path | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    aws = {"AWS_ENDPOINT_URL": s3, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}
    python = [sys.executable, "-S", "-m", "awslambdaric", _HANDLER]
    ours = aws | {"LOG_BUCKETS": "my-logs", "TAG_LABELS": "none", "BUCKET": "our-bucket"}
    paths = (*artifact.paths, *_runtime())
    for name, rules in (("loki-shipper", ""), ("loki-shipper, RULES=none", "none")):
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


def _measured(name: str, program: Mapping[str, Any], loki: CountingLoki, file: Path) -> Measured:
    env = program["env"] | {"LOKI_URL": loki.url, "WRITE_ADDRESS": f"{loki.url}/loki/api/v1/push"}
    with run_process(Program(**{**program, "env": env})) as process:
        before = process.cpu_seconds
        answered = process.invoke(_event(), seconds=_SECONDS)
        return Measured(
            name,
            file.stat().st_size,
            answered.seconds,
            process.cpu_seconds - before,
            process.peak_rss,
            loki.pushes,
            # A message that comes again is sent to the queue, which does not exist here.
            answered.response in ({"batchItemFailures": []}, None),
        )


def _event() -> bytes:
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
        "attributes": {"ApproximateReceiveCount": "1"},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:log-files",
        "awsRegion": "eu-central-1",
    }
    return encode({"Records": [message]})


class _S3(ThreadingHTTPServer):
    daemon_threads = True
    file: Path


class _S3Connection(BaseHTTPRequestHandler):
    """Sends the file, and takes everything else."""

    protocol_version = "HTTP/1.1"
    server: _S3

    def do_GET(self) -> None:
        if KEY not in self.path:
            self._answer(404)
            return
        self._answer(200, self.server.file.stat().st_size)
        with self.server.file.open("rb") as file, suppress(OSError):
            self.connection.sendfile(file)

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_DELETE(self) -> None:
        self._answer(204)

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
        server.file = file
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def main(tell: Tell) -> None:
    """Measure, and print a line for each program."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lines", type=int, default=1_000_000, help="17,000,000 are 1 GB of gzip")
    parser.add_argument("--lambda-promtail", type=Path, help="measure this binary too")
    chosen = parser.parse_args()
    artifact = build_artifact(os.environ, tell)
    with TemporaryDirectory() as folder:
        for each in measure(chosen.lines, artifact, Path(folder), chosen.lambda_promtail):
            rate = each.packed / _MB / each.seconds
            sys.stdout.write(
                f"{each.name}: {each.packed / _MB:.0f} MB of gzip in {each.seconds:.1f} s, "
                f"{rate:.2f} MB/s, {each.cpu_seconds:.1f} s of CPU, {each.peak / _MB:.0f} MB of "
                f"memory, {each.pushes:,} pushes{'' if each.is_done else ', not done in time'}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main(on_stream())
