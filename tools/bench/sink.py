"""Stands in for Loki: answers every push at once, and decodes the pushes later."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer

from loki_shipper.local.pushes import Push, decode_push


class InstantLoki:
    """Keeps pushes; `url` is its root."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._bodies: list[tuple[dict[str, str], bytes]] = []

    def keep(self, headers: dict[str, str], body: bytes) -> None:
        """Keep a push without decoding it."""
        self._bodies.append((headers, body))

    def take(self) -> list[Push]:
        """Decode and remove all pushes.

        Raises:
            RefusedError: Loki would reject one of the pushes.
        """
        bodies, self._bodies = self._bodies, []
        return [decode_push(headers, body, auth_enabled=False) for headers, body in bodies]


def run_sink() -> AbstractContextManager[InstantLoki]:
    """Run the stand-in on loopback inside a `with` block."""
    return run_sink_of(InstantLoki)


@contextmanager
def run_sink_of[T: InstantLoki](make: Callable[[str], T]) -> Iterator[T]:
    """Run the stand-in that is made of its URL."""
    with _LokiServer(("127.0.0.1", 0), _LokiConnection) as server:
        sink = make(f"http://127.0.0.1:{server.server_address[1]}")
        server.sink = sink
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield sink
        finally:
            server.shutdown()


class _LokiServer(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    sink: InstantLoki


class _LokiConnection(StreamRequestHandler):
    """The HTTP of a push only: a server of the standard library takes ten times as long."""

    disable_nagle_algorithm = True
    server: _LokiServer

    def handle(self) -> None:
        try:
            while self.rfile.readline():
                headers = dict(self._headers())
                body = self.rfile.read(int(headers["content-length"]))
                self.server.sink.keep(headers, body)
                self.wfile.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        except ConnectionError:
            return

    def _headers(self) -> Iterator[tuple[str, str]]:
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            yield name.lower(), value.strip()
