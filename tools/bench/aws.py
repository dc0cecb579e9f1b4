"""Stands in for AWS without latency: an SSM parameter, a tag index in S3, a log group's tags."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, override

from loki_shipper.local.sample import OWNER
from loki_shipper.shipper.labels.tag_index import Tagged, TagIndex, encode_index
from tools.bench.payloads import LOG_GROUP

_REGION: Final = "eu-central-1"
_SECRET: Final = json.dumps({"username": "name", "password": "word"})
_TAGS: Final = {"team": "payments", "driver": "python", "env": "prod"}
_OTHER_GROUPS: Final = 1_000

PARAMETER: Final = f"arn:aws:ssm:{_REGION}:{OWNER}:parameter/loki"


class InstantAws:
    """An AWS for one run; `calls` counts requests by `X-Amz-Target`."""

    def __init__(self, url: str) -> None:
        self.environ = {"AWS_ENDPOINT_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
        self.calls: dict[str, int] = {}
        names = [LOG_GROUP, *(f"{LOG_GROUP}-{number}" for number in range(_OTHER_GROUPS))]
        self._index = encode_index(TagIndex({name: Tagged(0, _TAGS) for name in names}))

    def answer(self, target: str) -> bytes:
        """Answer a call by its `X-Amz-Target`; a call without one reads the tag index in S3."""
        self.calls[target] = self.calls.get(target, 0) + 1
        match target.rpartition(".")[2]:
            case "GetParameter":
                parameter = {"Name": "loki", "Type": "SecureString", "Value": _SECRET, "Version": 1}
                return json.dumps({"Parameter": parameter}).encode()
            case "ListTagsForResource":
                return json.dumps({"tags": _TAGS}).encode()
            case "":
                return self._index
            case _:
                raise LookupError(target)


@contextmanager
def run_aws() -> Iterator[InstantAws]:
    """Run it on loopback inside a `with` block."""
    with _AwsServer(("127.0.0.1", 0), _AwsConnection) as server:
        server.aws = InstantAws(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server.aws
        finally:
            server.shutdown()


class _AwsServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    aws: InstantAws


class _AwsConnection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Buffered: an answer is sent in one piece.
    wbufsize = -1
    server: _AwsServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = self.server.aws.answer(self.headers.get("X-Amz-Target", ""))
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    @override
    def log_message(self, *_: object) -> None:
        """Log nothing."""
