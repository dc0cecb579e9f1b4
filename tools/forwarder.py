"""Forwards TCP connections of one port to a server that may end and come back elsewhere.

A server that gives up its port cannot be sure to get it again: another process may take it, and
then gets the requests too. The port of a forwarder stays its own.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final, override

_BYTES: Final = 65_536


class Forwarder(ThreadingTCPServer):
    """A forwarder, made by `run_forwarder`.

    `port` is the server's; without one, each connection is closed. `before_answer` is called before
    a part of an answer is passed on, and before a connection is closed for want of a server.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.port: int | None = None
        self.before_answer: Callable[[], object] = _nothing

    @property
    def url(self) -> str:
        """The URL of the forwarder, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(BaseRequestHandler):
    server: Forwarder
    request: socket.socket

    @override
    def handle(self) -> None:
        if self.server.port is None:
            self.server.before_answer()
            return
        # The server may have ended just now.
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.server.port)) as there:
            back = there, self.request, self._before_answer
            answers = threading.Thread(target=_copy, args=back, daemon=True)
            answers.start()
            _copy(self.request, there, _nothing)
            answers.join()

    def _before_answer(self) -> None:
        self.server.before_answer()


def _copy(source: socket.socket, target: socket.socket, before: Callable[[], object]) -> None:
    """Copy until one side ends, and then end the other."""
    with suppress(OSError):
        while part := source.recv(_BYTES):
            before()
            target.sendall(part)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _nothing() -> None: ...


@contextmanager
def run_forwarder() -> Iterator[Forwarder]:
    """Run a forwarder inside a `with` block, at first without a server."""
    with Forwarder() as forwarder:
        thread = threading.Thread(target=forwarder.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield forwarder
        finally:
            forwarder.shutdown()
            thread.join()
