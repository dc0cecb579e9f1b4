"""Reads the messages of Pub/Sub out of an event: a push request, or what a pull returns.

A push request is `{"message": {"data", "attributes", "messageId", "publishTime"}, "subscription"}`
(https://cloud.google.com/pubsub/docs/push#receive_push), and a pull returns
`{"receivedMessages": [{"message": {…}}, …]}`. Objects of the bucket hold either.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import DecodeError, Struct, ValidationError, convert
from msgspec.json import decode

MAX_MESSAGES = 1000
"""The most messages in one object of the bucket."""


class NotAMessageError(Exception):
    """Raised when an event holds no message of Pub/Sub."""


class PubSubMessage(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A message of Pub/Sub; `data` is the LogEntry, in base64 of JSON."""

    data: str = ""
    attributes: dict[str, str] | None = None
    message_id: str = ""
    publish_time: str = ""
    ordering_key: str = ""


class _Envelope(Struct, frozen=True):
    message: PubSubMessage


class _Pulled(Struct, frozen=True, rename="camel"):
    received_messages: list[_Envelope]


def read_push(body: bytes) -> PubSubMessage:
    """Read the message of a push request. Raises NotAMessageError."""
    try:
        return decode(body, type=_Envelope).message
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise NotAMessageError("the request holds no message of Pub/Sub") from None


def read_messages(event: Any) -> list[PubSubMessage]:
    """Read the messages of an event. Raises NotAMessageError."""
    try:
        match event:
            case {"message": _}:
                return [convert(event, _Envelope).message]
            case {"receivedMessages": _}:
                return [each.message for each in convert(event, _Pulled).received_messages]
    except ValidationError:
        pass
    raise NotAMessageError("the event holds no message of Pub/Sub")


def pulled(messages: Iterable[PubSubMessage]) -> dict[str, Any]:
    """Return the event of some messages, in the shape that a pull returns."""
    return {"receivedMessages": [{"message": _members(each)} for each in messages]}


def _members(message: PubSubMessage) -> dict[str, Any]:
    members: dict[str, Any] = {"data": message.data}
    if message.attributes:
        members["attributes"] = message.attributes
    return {**members, "messageId": message.message_id, "publishTime": message.publish_time}
