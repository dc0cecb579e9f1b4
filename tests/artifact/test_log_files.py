"""The built function under Lambda's own runtime interface: log files in S3."""

import os
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from loki_shipper.local.aws import ACCOUNT, LocalAws
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import query_range
from loki_shipper.local.runtime_api import Died, ExecutionEnvironment, Response
from loki_shipper.model import S3Object
from loki_shipper.shipper.sources.notifications import write_notification
from tests.artifact.conftest import Start
from tools.log_file_lines import KEY, packed_lines

MB = 1_000_000
MEMORY = 200 * MB
LINES = int(os.environ.get("LOG_FILE_LINES", "120000"))
"""Of some 720 bytes. `./scripts/full logfiles` takes more."""

_NUMBER = re.compile(r"/orders/(\d+) HTTP")

KILLS = (0.2, 0.5, 0.8)
"""Parts of the file after which the execution environment is killed."""


class LokiThatKills:
    """A way to Loki that kills an execution environment after some pushes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pushes = 0
        self.peaks: list[int] = []
        self._loki = ""
        self._kill_at: int | None = None
        self._environment: ExecutionEnvironment | None = None

    def lead_to(self, loki: str) -> None:
        self._loki = loki

    def kill(self, environment: ExecutionEnvironment, *, at: int | None) -> None:
        """Kill this environment once there were so many pushes in all."""
        self._environment, self._kill_at = environment, at

    def forward(self, headers: dict[str, str], body: bytes) -> requests.Response:
        kept = {name: value for name, value in headers.items() if name != "Host"}
        answer = requests.post(f"{self._loki}/loki/api/v1/push", body, headers=kept, timeout=60)
        self.pushes += 1
        if self.pushes == self._kill_at:
            self.end()
        return answer

    def end(self) -> None:
        assert self._environment is not None
        peak = self._environment.peak_rss
        assert peak is not None
        self.peaks.append(peak)
        self._environment.kill()


@pytest.fixture
def way(loki: Loki | Running) -> Iterator[LokiThatKills]:
    with _serving() as way:
        way.lead_to(loki.url)
        yield way


@contextmanager
def _serving() -> Iterator[LokiThatKills]:
    class Connection(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = found.forward(dict(self.headers), body)
            try:
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Connection) as server:
        server.daemon_threads = True
        found = LokiThatKills(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield found
        server.shutdown()
        thread.join()


class LogFiles:
    """A bucket with log files, a queue, and the settings of a function that ships them."""

    def __init__(self, aws: LocalAws, loki: str) -> None:
        name = uuid.uuid4().hex
        self.bucket, self.tenant = f"logs-{name}", f"t{name}"
        self._own = f"own-{name}"
        self._s3, self._sqs = aws.client("s3"), aws.client("sqs")
        for bucket in (self.bucket, self._own):
            location = {"LocationConstraint": aws.region}
            self._s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
        self._queue = self._sqs.create_queue(QueueName=f"q-{name}")["QueueUrl"]
        self.queue_arn = f"arn:aws:sqs:{aws.region}:{ACCOUNT}:q-{name}"
        self.environ = aws.environ | {
            "LOKI_URL": loki,
            "LOKI_TENANT": self.tenant,
            "LOG_BUCKETS": self.bucket,
            "TAG_LABELS": "none",
            "BUCKET": self._own,
        }

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def event(self, *keys: str, received: int = 1) -> dict[str, Any]:
        bodies = [write_notification([S3Object(self.bucket, key)], 0) for key in keys]
        if received == 1:
            # As S3 writes it, without our own member.
            bodies = [body.replace(',"lokiShipper":{"returns":0}', "") for body in bodies]
        return self.of(*bodies, received=received)

    def of(self, *bodies: str, received: int = 1) -> dict[str, Any]:
        return {
            "Records": [
                {
                    "messageId": str(number),
                    "receiptHandle": "r",
                    "body": body,
                    "attributes": {"ApproximateReceiveCount": str(received)},
                    "eventSource": "aws:sqs",
                    "eventSourceARN": self.queue_arn,
                    "awsRegion": "eu-central-1",
                }
                for number, body in enumerate(bodies)
            ]
        }

    def sent(self) -> list[str]:
        """Take the messages that the function has sent to its queue."""
        answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        for each in messages:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return [each["Body"] for each in messages]

    def kept(self) -> list[str]:
        """List the objects in the stack's bucket."""
        listed = self._s3.list_objects_v2(Bucket=self._own)
        return [each["Key"] for each in listed.get("Contents", [])]


def stored(loki: Loki | Running, files: LogFiles) -> list[int]:
    """Give the numbers of the lines that Loki holds, sorted.

    Loki merges equal entries when it reads lines. It does not when it counts them.
    """
    found: list[int] = []
    now = int(time.time())
    # Loki's own parts send each other at most 4 MB at once.
    for start in range(now - 900, now + 10, 2):
        held = query_range(
            loki.url,
            f'{{source="s3",log_type="alb",bucket="{files.bucket}"}}',
            start_ns=start * 10**9,
            end_ns=(start + 2) * 10**9,
            tenant=files.tenant,
        )
        found += [int(_NUMBER.findall(line.line)[0]) for line in held]
    return sorted(found)


def test_each_line_of_a_large_file_is_in_loki_once_though_the_function_is_killed_three_times(
    aws: LocalAws, loki: Loki | Running, start: Start, way: LokiThatKills
) -> None:
    files = LogFiles(aws, way.url)
    now = time.time()
    body = b"".join(packed_lines(LINES, oldest=now - 600, newest=now))
    files.put(KEY, body)
    pushes = LINES * 780 // 1_048_576
    for times, part in enumerate((*KILLS, None), 1):
        with start(files.environ) as environment:
            way.kill(environment, at=None if part is None else way.pushes + int(pushes * 0.3))
            result = environment.invoke(files.event(KEY, received=times), deadline_ms=900_000)
            if part is not None:
                assert isinstance(result, Died)
                continue
            assert result == Response({"batchItemFailures": []})
            way.end()
    assert stored(loki, files) == [*range(LINES)]
    assert max(way.peaks) < MEMORY
    assert len(way.peaks) == 4
    # The progress is deleted, and nothing waits.
    assert (files.kept(), files.sent()) == ([], [])


def test_a_file_that_needs_more_than_one_invocation_goes_on_where_it_was(
    aws: LocalAws, loki: Loki | Running, start: Start
) -> None:
    files = LogFiles(aws, loki.url)
    now, lines = time.time(), 60_000
    files.put(KEY, b"".join(packed_lines(lines, oldest=now - 600, newest=now)))
    with start(files.environ) as environment:
        # 23 s are for the last lines in memory, and for the report.
        result = environment.invoke(files.event(KEY), deadline_ms=24_000)
        rounds = 0
        while sent := files.sent():
            rounds += 1
            assert result == Response({"batchItemFailures": []})
            result = environment.invoke(files.of(*sent), deadline_ms=24_000 + rounds * 500)
        assert rounds > 0
    assert stored(loki, files) == [*range(lines)]
    assert files.kept() == []


def test_a_binary_file_and_one_that_is_gone_do_not_stop_others(
    aws: LocalAws, loki: Loki | Running, start: Start
) -> None:
    files = LogFiles(aws, loki.url)
    now = time.time()
    files.put("a b+c/data.parquet", b"PAR1" + bytes(100))
    files.put(KEY, b"".join(packed_lines(100, oldest=now - 60, newest=now)))
    with start(files.environ) as environment:
        event = files.event("a b+c/data.parquet", "gone.log", KEY)
        assert environment.invoke(event) == Response({"batchItemFailures": []})
        log = "\n".join(environment.log_lines)
    assert '"log_files":{"refused":1,"gone":1,"shipped":1}' in log
    assert stored(loki, files) == [*range(100)]
    [rejected] = files.kept()
    assert rejected.startswith("rejected/")
