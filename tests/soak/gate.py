"""Puts a gate before S3 that refuses some objects, as KMS does for a key without permission."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

_DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>not authorized to perform: kms:Decrypt</Message></Error>"""
_HOPS = {"connection", "transfer-encoding", "content-length", "host"}


class Gate:
    """What it refuses: the keys of `denied`, to be read or copied. `refused` counts."""

    def __init__(self, bucket: str, url: str) -> None:
        self.url = url
        self.denied: set[str] = set()
        self.refused = 0
        self._bucket = bucket

    def refuses(self, method: str, path: str, source: str | None) -> bool:
        """Tell whether a request reads an object that may not be read."""
        read = path if method == "GET" else source or ""
        key = unquote(read).lstrip("/").removeprefix(f"{self._bucket}/")
        if key not in self.denied:
            return False
        self.refused += 1
        return True


@contextmanager
def run_gate(upstream: str, bucket: str) -> Iterator[Gate]:
    """Put a gate before an S3."""
    target = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                # The function was killed: S3 stores no part of an object.
                self.close_connection = True
                return
            path = urlsplit(self.path).path
            if gate.refuses(self.command, path, self.headers.get("x-amz-copy-source")):
                self._answer(403, {"Content-Type": "application/xml"}, _DENIED)
                return
            connection = http.client.HTTPConnection(target, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOPS}
            # moto finds the service by it.
            headers["Host"] = self.headers["Host"]
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOPS}
            connection.close()
            self._answer(answer.status, kept, content)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - http.server's own

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    gate = Gate(bucket, f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield gate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
