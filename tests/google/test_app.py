import asyncio
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from loki_shipper.google.app import PushApp
from loki_shipper.google.gather import Gatherer
from loki_shipper.google.service import keep_aside, shipping
from loki_shipper.google.token import CertificatesError, TokenVerifier
from loki_shipper.shipper.delivery.answer import Answer
from tests.google.logged import EVENTS
from tests.google.pushing import LokiInMemory
from tests.google.test_service import Bucket, effects
from tests.google.test_token import header, verifier

BODY = (EVENTS / "google-text.json").read_bytes()


def status(
    *parts: bytes,
    method: str = "POST",
    authorization: str | None = None,
    verifier: TokenVerifier | None = None,
    answer: int = 204,
    refused: list[str] | None = None,
) -> int:
    made = effects(LokiInMemory(lambda _: Answer(answer)), Bucket().put)
    waiting = [*parts]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        part = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def call() -> None:
        with ThreadPoolExecutor() as pool:
            app = PushApp(
                Gatherer(shipping(made), pool),
                partial(keep_aside, effects=made),
                verifier,
                (refused if refused is not None else []).append,
            )
            headers = [(b"authorization", authorization.encode())] if authorization else []
            await app({"type": "http", "method": method, "headers": headers}, receive, send)

    asyncio.run(call())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    found: int = sent[0]["status"]
    return found


def test_an_entry_that_loki_holds_is_acknowledged() -> None:
    assert status(BODY) == 204
    assert status(BODY[:100], BODY[100:]) == 204


def test_an_entry_that_loki_does_not_hold_comes_again() -> None:
    assert status(BODY, answer=404) == 503


def test_a_message_without_an_entry_is_kept_and_acknowledged() -> None:
    assert status(b'{"message": {"data": "eA=="}}') == 204


def test_a_request_that_is_none_of_pubsub_is_refused_and_logged() -> None:
    refused: list[str] = []
    assert status(b'{"logName": "unwrapped"}', refused=refused) == 400
    assert refused == ["a request was refused: the request holds no message of Pub/Sub"]


def test_a_request_needs_the_token_of_the_subscription() -> None:
    refused: list[str] = []
    assert status(BODY, verifier=verifier(), authorization=header()) == 204
    assert status(BODY, verifier=verifier(), refused=refused) == 401
    assert status(BODY, verifier=verifier(), authorization="Bearer x", refused=refused) == 401
    assert refused == ["a request was refused because of its token: no_token"] * 2


def test_a_request_comes_again_while_no_token_can_be_checked() -> None:
    def unread() -> Any:
        raise CertificatesError("unread")

    assert status(BODY, verifier=verifier(unread), authorization=header()) == 503


def test_a_request_that_is_too_large_is_refused() -> None:
    assert status(*[b"x" * 1024 * 1024] * 17) == 413


@pytest.mark.parametrize(("method", "expected"), [("GET", 200), ("HEAD", 200), ("PUT", 405)])
def test_it_says_that_it_is_ready(method: str, expected: int) -> None:
    assert status(method=method) == expected
