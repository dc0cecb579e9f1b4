"""From an object's body to the invocation event in it."""

from typing import Any

from msgspec import DecodeError
from msgspec.json import decode as from_json

from loki_shipper.shipper.decode import decode
from loki_shipper.shipper.source import source

type LogGroup = tuple[str, str]
"""The account that owns a log group, and its name."""


class NotARecordError(Exception):
    """Raised when a body is not an on-failure record; the message is a reason of one word."""


def record(body: bytes) -> Any:
    """Take the invocation event out of an on-failure record, Lambda's or the shipper's.

    The shape is `{"requestPayload": …}` and more. Raises NotARecordError.
    """
    try:
        content = from_json(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise NotARecordError("not_json") from None
    match content:
        case {"requestPayload": event}:
            return event
        case _:
            raise NotARecordError("no_record")


def log_group(event: Any) -> LogGroup | None:
    """Say whose lines an invocation event holds; None where it holds none, or cannot be read."""
    try:
        data = decode(source(event))
    except Exception:  # noqa: BLE001 - what is wrong with it shows when it is shipped
        return None
    return None if data is None else (data.owner, data.log_group)
