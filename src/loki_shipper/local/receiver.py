"""Stands in for Loki on loopback: keeps pushes and answers from a script."""

import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, override

from msgspec import Struct

from loki_shipper.formats import PUSH_PATH
from loki_shipper.local.pushes import Push, PushedEntry, RefusedError, decode_push

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ScriptedAnswer(Struct, frozen=True):
    """The answer to one push.

    `stores`: None keeps the push for 200 and 204 only. `delay` is the seconds before the answer,
    `trickle` those before each byte of the body. `hangs_up` resets the connection instead.
    """

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = {}
    stores: bool | None = None
    delay: float = 0.0
    hangs_up: bool = False
    trickle: float = 0.0

    @property
    def keeps(self) -> bool:
        """Tell whether the receiver stores the push."""
        return self.status in {200, 204} if self.stores is None else self.stores


type Script = Iterable[ScriptedAnswer] | Callable[[Push], ScriptedAnswer]
"""One answer for each push, then 204; or a function that decides."""


class Receiver:
    """Keeps pushes: `pushes` are the stored ones, `attempts` all well-formed ones."""

    def __init__(self, url: str, *, auth_enabled: bool) -> None:
        self.url = url
        self.auth_enabled = auth_enabled
        self.pushes: list[Push] = []
        self.attempts: list[Push] = []
        self.refused: list[str] = []
        self.connections = 0
        self._decide: Callable[[Push], ScriptedAnswer] = lambda _: ScriptedAnswer()
        self._changed = threading.Condition()
        self._stopped = threading.Event()

    def script(self, script: Script) -> None:
        """Answer from `script` from now on."""
        if callable(script):
            self._decide = script
        else:
            answers = iter(script)
            self._decide = lambda _: next(answers, ScriptedAnswer())

    def reset(self) -> None:
        """Forget all pushes and the script."""
        with self._changed:
            for kept in (self.pushes, self.attempts, self.refused):
                kept.clear()
            self.connections = 0
            self.script(())

    def held(self, tenant: str | None = None) -> list[tuple[dict[str, str], PushedEntry]]:
        """List the entries that Loki would have for a tenant, without duplicates, by time."""
        folded = {
            (
                *sorted(stream.labels.items()),
                entry.timestamp,
                entry.line,
                *sorted(entry.metadata.items()),
            ): (stream.labels, entry)
            for push in list(self.pushes)
            if push.tenant == tenant
            for stream in push.streams
            for entry in stream.entries
        }
        return sorted(folded.values(), key=lambda held: held[1].timestamp)

    def wait_for_attempts(self, count: int, seconds: float = 10.0) -> None:
        """Wait for `count` well-formed pushes.

        Raises:
            TimeoutError: there were fewer.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.attempts) >= count, seconds):
                raise TimeoutError(f"{len(self.attempts)} of {count} pushes came")

    def take(self, headers: dict[str, str], body: bytes) -> ScriptedAnswer:
        """Decode a push, store it if its answer says so, and return the answer."""
        try:
            push = decode_push(headers, body, auth_enabled=self.auth_enabled)
        except RefusedError as error:
            self.refused.append(str(error))
            return ScriptedAnswer(status=error.status, body=f"{error}\n".encode())
        with self._changed:
            answer = self._decide(push)
            if answer.keeps:
                self.pushes.append(push)
            self.attempts.append(push)
            self._changed.notify_all()
        return answer

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than the receiver runs."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """End every pause."""
        self._stopped.set()


@contextmanager
def run_receiver(*, auth_enabled: bool = False, port: int = 0) -> Iterator[Receiver]:
    """Run a receiver on loopback inside a `with` block."""
    with _ReceiverServer(("127.0.0.1", port), _ReceiverConnection) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}", auth_enabled=auth_enabled)
        server.receiver = receiver
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.stop()
            server.shutdown()
            thread.join()
            server.hang_up()


class _ReceiverServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True
    receiver: Receiver

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: set[socket.socket] = set()

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        self.receiver.connections += 1
        self._open.add(request)
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: tests make clients give up."""

    def hang_up(self) -> None:
        """End kept-alive connections, so that no thread waits for their next request."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class _ReceiverConnection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _ReceiverServer

    def do_POST(self) -> None:
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != PUSH_PATH:
            self._send(ScriptedAnswer(status=404, body=b"404 page not found\n"))
            return
        answer = receiver.take({k.lower(): v for k, v in self.headers.items()}, body)
        receiver.pause(answer.delay)
        if answer.hangs_up:
            self._hang_up()
        else:
            self._send(answer)

    def do_GET(self) -> None:
        ready = self.path == "/ready"
        body = b"ready\n" if ready else b"404 page not found\n"
        self._send(ScriptedAnswer(status=200 if ready else 404, body=body))

    def _send(self, answer: ScriptedAnswer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        # 204 has no body: a client would read one as the next answer.
        body = b"" if answer.status == HTTPStatus.NO_CONTENT else answer.body
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not answer.trickle:
            self.wfile.write(body)
            return
        for byte in body:
            self.server.receiver.pause(answer.trickle)
            self.wfile.write(bytes([byte]))

    def _hang_up(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        # The socket is closed here: shutdown() would end the connection in order, without a reset.
        self.connection.close()
        self.close_connection = True

    @override
    def log_message(self, *_: Any) -> None:
        """Log nothing."""
