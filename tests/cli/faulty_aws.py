"""A proxy in front of AWS that forwards requests until a test tells it to fail."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import requests

type Fault = Literal["lost", "expired"]


class FaultyProxy(ThreadingHTTPServer):
    """Forwards requests to `target`, until `broken()` is true."""

    daemon_threads = True

    def __init__(self, target: str, broken: Callable[[], bool], fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.target = target
        self.broken = broken
        self.fault = fault

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Request(BaseHTTPRequestHandler):
    server: FaultyProxy
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.server.broken():
            answer = requests.request(
                self.command,
                self.server.target + self.path,
                headers=dict(self.headers),
                data=body,
                timeout=30,
            )
            self._send(answer.status_code, answer.headers, answer.content)
        elif self.server.fault == "expired" and self.command == "POST":
            code = "ExpiredTokenException"
            content = json.dumps({"__type": code, "message": "it is expired"}).encode()
            headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code}
            self._send(400, headers, content)
        elif self.server.fault == "expired":
            # S3 answers in XML.
            content = b"<Error><Code>ExpiredToken</Code><Message>it is expired</Message></Error>"
            self._send(400, {"Content-Type": "application/xml"}, content)
        else:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - http.server calls them so

    def _send(self, status: int, headers: Any, content: bytes) -> None:
        self.send_response_only(status)
        if "x-amzn-RequestId" not in headers:
            # Each answer of AWS has one.
            self.send_header("x-amzn-RequestId", "none")
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@contextmanager
def faulty(target: str, broken: Callable[[], bool], fault: Fault) -> Iterator[str]:
    """Run the proxy while the block lasts, and give its URL."""
    with FaultyProxy(target, broken, fault) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy.url
        finally:
            proxy.shutdown()
            thread.join()
