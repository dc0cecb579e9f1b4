import json
from typing import Any

import pytest

from loki_shipper.google.request import (
    NotAMessageError,
    PubSubMessage,
    pulled,
    read_messages,
    read_push,
)
from tests.google.logged import EVENTS, log_entry, message


def test_a_push_request_holds_one_message() -> None:
    body = (EVENTS / "google-text.json").read_bytes()
    assert [read_push(body)] == read_messages(json.loads(body))
    assert read_push(body).message_id


def test_a_request_with_new_fields_is_read() -> None:
    body = b'{"message":{"data":"eA==","messageId":"1","new":{"a":1}},"deliveryAttempt":5}'
    assert read_push(body) == PubSubMessage("eA==", message_id="1")


def test_several_messages_have_the_shape_of_a_pull() -> None:
    messages = [message(log_entry(insertId=each)) for each in "ab"]
    assert read_messages(pulled(messages)) == messages


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message": 1}', b"\xff", b"[" * 100_000])
def test_another_request_is_none_of_pubsub(body: bytes) -> None:
    with pytest.raises(NotAMessageError):
        read_push(body)


@pytest.mark.parametrize("event", [{}, [], {"message": 1}, {"receivedMessages": [1]}, None])
def test_another_event_is_none_of_pubsub(event: Any) -> None:
    with pytest.raises(NotAMessageError):
        read_messages(event)
