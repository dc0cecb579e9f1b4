"""A stand-in for Loki on loopback: decodes pushes as Loki does and answers from a script."""

import gzip
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, override

import snappy
from google.protobuf.message import DecodeError
from msgspec import Struct

from loki_shipper.local.logproto_pb2 import PushRequest

PUSH_PATH: Final = "/loki/api/v1/push"

_TENANT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!\-_.*'()]{1,150}")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(,|$)')
# No surrogates: a label is UTF-8.
_CODE_POINT = r"u((?![dD][89a-fA-F])[0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5})"
_ESCAPE = re.compile(rf'\\(?:([\\"abfnrtv])|{_CODE_POINT})')
_ESCAPED = dict(zip('\\"abfnrtv', '\\"\a\b\f\n\r\t\v', strict=True))
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class PushedEntry(Struct, frozen=True):
    """One entry of a push; `timestamp` is in ns since 1970."""

    timestamp: int
    line: str
    metadata: dict[str, str]


class PushedStream(Struct, frozen=True):
    """One stream of a push, entries in the order in which they came."""

    labels: dict[str, str]
    entries: list[PushedEntry]


class Push(Struct, frozen=True):
    """One well-formed push; header names are in lower case, `body` is what came over the wire."""

    tenant: str | None
    streams: list[PushedStream]
    headers: dict[str, str]
    body: bytes

    @property
    def entries(self) -> list[PushedEntry]:
        """The entries of all streams."""
        return [entry for stream in self.streams for entry in stream.entries]


class ScriptedAnswer(Struct, frozen=True):
    """What the receiver does with one push.

    `stores`: None keeps the push for 200 and 204 only. `delay` is in seconds, before the answer.
    `hangs_up` resets the connection instead of answering. `trickle` is in seconds, before each
    byte of the body.
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
        """Tell whether the push is stored."""
        return self.status in {200, 204} if self.stores is None else self.stores


type Script = Iterable[ScriptedAnswer] | Callable[[Push], ScriptedAnswer]
"""One answer a push, then 204; or a function that decides."""


class RefusedError(Exception):
    """Raised when Loki would refuse a request before it looks at the entries."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Receiver:
    """What came in. `pushes` is what was stored, `attempts` every well-formed push."""

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
        """Forget what came in and the script."""
        with self._changed:
            for kept in (self.pushes, self.attempts, self.refused):
                kept.clear()
            self.connections = 0
            self.script(())

    def held(self, tenant: str | None = None) -> list[tuple[dict[str, str], PushedEntry]]:
        """List what Loki would hold for a tenant: repeats folded, in the order of time."""
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
        """Return when `count` well-formed pushes came in.

        Raises:
            TimeoutError: fewer came.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.attempts) >= count, seconds):
                raise TimeoutError(f"{len(self.attempts)} of {count} pushes came")

    def take(self, headers: dict[str, str], body: bytes) -> ScriptedAnswer:
        """Decode a push, decide on the answer and keep what is to be kept."""
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
        """Wait, but not past the receiver's end."""
        self._stopped.wait(seconds)

    def stop(self) -> None:
        """End every pause."""
        self._stopped.set()


def decode_push(headers: Mapping[str, str], body: bytes, *, auth_enabled: bool) -> Push:
    """Read a push as Loki reads it; `headers` have lower-case names.

    Raises:
        RefusedError: with Loki's status and message.
    """
    tenant = _tenant(headers.get("x-scope-orgid"), auth_enabled=auth_enabled)
    if not headers.get("content-type"):
        raise RefusedError(400, "mime: no media type")
    if not headers["content-type"].startswith("application/x-protobuf"):
        raise RefusedError(400, "this stand-in for Loki reads application/x-protobuf only")
    try:
        raw = snappy.uncompress(_unwrapped(headers.get("content-encoding", ""), body))
    except snappy.UncompressError:
        raise RefusedError(400, "snappy: corrupt input") from None
    try:
        request = PushRequest.FromString(raw)
    except DecodeError:
        raise RefusedError(400, "proto: cannot parse the push request") from None
    if not request.streams:
        raise RefusedError(422, "at least one valid stream is required for ingestion")
    # A stream without entries is skipped, its labels unread.
    streams = [_stream(stream) for stream in request.streams if stream.entries]
    return Push(tenant, streams, dict(headers), body)


def _tenant(name: str | None, *, auth_enabled: bool) -> str | None:
    if auth_enabled and not name:
        raise RefusedError(401, "no org id")
    if auth_enabled and name and not _TENANT.fullmatch(name):
        raise RefusedError(400, "tenant ID contains unsupported character or is too long")
    return name


def _unwrapped(encoding: str, body: bytes) -> bytes:
    try:
        match encoding:
            case "" | "snappy":
                return body
            case "gzip":
                return gzip.decompress(body)
            case "deflate":
                return zlib.decompress(body, -zlib.MAX_WBITS)
            case _:
                raise RefusedError(400, f'Content-Encoding "{encoding}" not supported')
    except (OSError, EOFError, zlib.error) as error:
        raise RefusedError(400, f"{encoding}: {error}") from None


def _stream(stream: Any) -> PushedStream:
    return PushedStream(parse_labels(stream.labels), [_entry(entry) for entry in stream.entries])


def _entry(entry: Any) -> PushedEntry:
    at = entry.timestamp
    if not 0 <= at.nanos < 10**9:
        raise RefusedError(400, f"timestamp: nanos {at.nanos} not in range [0, 1e9)")
    metadata = {pair.name: pair.value for pair in entry.structuredMetadata}
    return PushedEntry(at.seconds * 10**9 + at.nanos, entry.line, metadata)


def parse_labels(text: str) -> dict[str, str]:
    """Read `{a="b",c="d"}`, stricter than Loki, which takes other quotes and stray text too.

    Raises:
        RefusedError: with status 400, for U+FFFD too, which Loki takes for broken UTF-8.
    """
    inner = text.strip()
    if not (inner.startswith("{") and inner.endswith("}")) or "\ufffd" in inner:
        raise RefusedError(400, f"couldn't parse labels: {text[:100]!r}")
    inner, labels, at = inner[1:-1].strip(), {}, 0
    while at < len(inner):
        match = _LABEL.match(inner, at)
        if match is None or match[1] in labels or _ESCAPE.sub("", match[2]).count("\\"):
            raise RefusedError(400, f"couldn't parse labels: {text[:100]!r}")
        if match[2]:
            labels[match[1]] = _ESCAPE.sub(_unescaped, match[2])
        at = match.end()
    return labels


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return _ESCAPED[match[1]]
    return chr(int(match[2] or match[3], 16))


@contextmanager
def run_receiver(*, auth_enabled: bool = False, port: int = 0) -> Iterator[Receiver]:
    """Run a receiver on loopback as long as the block lasts."""
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
        """Say nothing: clients that give up are what tests are about."""

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
        # 204 has no body by definition: what follows would be taken for the next answer.
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
        # A plain close would first say goodbye in order; the caller's shutdown then finds nothing.
        self.connection.close()
        self.close_connection = True

    @override
    def log_message(self, *_: Any) -> None:
        """Say nothing."""
