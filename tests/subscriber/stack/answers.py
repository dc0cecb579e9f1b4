"""A server on loopback that takes the answers to CloudFormation."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Answers(HTTPServer):
    """Stands for the bucket to which CloudFormation has its answers put."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.came: list[dict[str, Any]] = []
        self.content_types: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/answer?signature=x"


class _Answer(BaseHTTPRequestHandler):
    server: Answers

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append(json.loads(body))
        self.server.content_types.append(self.headers["Content-Type"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def answers() -> Iterator[Answers]:
    """Take answers as long as the block lasts."""
    with Answers() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def stack_event(kind: str, url: str, stack: str = "stack", **fields: Any) -> dict[str, Any]:
    """What CloudFormation asks of the custom resource."""
    return {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": stack,
        "RequestId": kind,
        "LogicalResourceId": "Links",
        "ResourceType": "Custom::Links",
        "ResourceProperties": {},
        **fields,
    }
