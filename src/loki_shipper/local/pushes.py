"""Decodes a push as Loki decodes it."""

import gzip
import re
import zlib
from collections.abc import Mapping
from typing import Any

import snappy
from google.protobuf.message import DecodeError
from msgspec import Struct

from loki_shipper.local.logproto_pb2 import PushRequest

_TENANT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9!\-_.*'()]{1,150}")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\\n]|\\.)*)"\s*(,|$)')
# Surrogates are not valid in UTF-8.
_CODE_POINT = r"u((?![dD][89a-fA-F])[0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5})"
_ESCAPE = re.compile(rf'\\(?:([\\"abfnrtv])|{_CODE_POINT})')
_ESCAPED = dict(zip('\\"abfnrtv', '\\"\a\b\f\n\r\t\v', strict=True))


class PushedEntry(Struct, frozen=True):
    """One entry of a push; `timestamp` is in ns since 1970."""

    timestamp: int
    line: str
    metadata: dict[str, str]


class PushedStream(Struct, frozen=True):
    """One stream of a push, with its entries in their order."""

    labels: dict[str, str]
    entries: list[PushedEntry]


class Push(Struct, frozen=True):
    """One well-formed push; header names are in lower case, `body` is as received."""

    tenant: str | None
    streams: list[PushedStream]
    headers: dict[str, str]
    body: bytes

    @property
    def entries(self) -> list[PushedEntry]:
        """The entries of all streams."""
        return [entry for stream in self.streams for entry in stream.entries]


class RefusedError(Exception):
    """Raised when Loki would reject a request without reading its entries."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def decode_push(headers: Mapping[str, str], body: bytes, *, auth_enabled: bool) -> Push:
    """Decode a push; `headers` have lower-case names.

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
    # Loki skips a stream without entries and does not read its labels.
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
    """Parse `{a="b",c="d"}`; Loki also accepts other quotes and stray text.

    Raises:
        RefusedError: with status 400, also for U+FFFD, which Loki treats as broken UTF-8.
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
