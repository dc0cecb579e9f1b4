"""The web application: it takes push requests and answers each by the fate of its entry.

It speaks ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html) without a framework, as there
is one kind of request.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from msgspec import Struct

from loki_shipper.google.entry import NotALogEntryError, read_entry
from loki_shipper.google.gather import Gatherer, OverloadedError
from loki_shipper.google.request import NotAMessageError, PubSubMessage, read_push
from loki_shipper.google.token import CertificatesError, TokenError, TokenVerifier

type AsgiMessage = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[AsgiMessage]]
type Send = Callable[[AsgiMessage], Awaitable[None]]

_MAX_BODY: Final = 16 * 1024 * 1024
"""Pub/Sub takes messages of up to 10 MB."""

_READY, _SAFE = 200, 204
_BAD_REQUEST, _NO_TOKEN, _NOT_ALLOWED, _TOO_LARGE, _AGAIN = 400, 401, 405, 413, 503


class PushApp(Struct, frozen=True):
    """The application. `verifier` is None if nobody else can reach it.

    `keep` keeps a message that has no entry, and tells whether it is safe; it may block.
    `refused` is called with the reason of a request that cannot be used.
    """

    gatherer: Gatherer
    keep: Callable[[PubSubMessage, str], bool]
    verifier: TokenVerifier | None
    refused: Callable[[str], None]

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        assert scope["type"] == "http"
        status = await self._status(scope, receive)
        headers = [(b"content-length", b"0")] if status != _SAFE else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _status(self, scope: MutableMapping[str, Any], receive: Receive) -> int:
        if scope["method"] in {"GET", "HEAD"}:
            return _READY
        if scope["method"] != "POST":
            return _NOT_ALLOWED
        body = await _body(receive)
        if body is None:
            return _TOO_LARGE
        try:
            await self._verify(dict(scope["headers"]).get(b"authorization", b""))
            return await self._ship(read_push(body))
        except TokenError as error:
            self.refused(f"a request was refused because of its token: {error}")
            return _NO_TOKEN
        except NotAMessageError as error:
            self.refused(f"a request was refused: {error}")
            return _BAD_REQUEST
        except CertificatesError as error:
            self.refused(f"the certificates of Google cannot be read: {error}")
            return _AGAIN
        except OverloadedError:
            return _AGAIN

    async def _verify(self, header: bytes) -> None:
        authorization = header.decode("latin-1")
        if self.verifier is not None and not self.verifier.remembers(authorization):
            await asyncio.to_thread(self.verifier.verify, authorization)

    async def _ship(self, message: PubSubMessage) -> int:
        try:
            entry = read_entry(message)
        except NotALogEntryError as error:
            is_safe = await asyncio.to_thread(self.keep, message, str(error))
        else:
            is_safe = await self.gatherer.ship(entry)
        return _SAFE if is_safe else _AGAIN


async def _body(receive: Receive) -> bytes | None:
    """Read the body of a request; None if it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > _MAX_BODY:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
