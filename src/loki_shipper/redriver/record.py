"""From an object's body to the log data in it."""

from typing import Any

from msgspec import DecodeError
from msgspec.json import decode as from_json

from loki_shipper.model import LogData
from loki_shipper.shipper.sources.decode import decode
from loki_shipper.shipper.sources.event import UndecodableError, source


class NotARecordError(Exception):
    """Raised when a body holds no log data; the message is a reason of one word."""


def record(body: bytes) -> LogData | None:
    """Take the log data out of an on-failure record, Lambda's or the shipper's.

    The shape is `{"requestPayload": …}` and more. None where it carries no log events, as control
    messages do. Raises NotARecordError.
    """
    try:
        content: Any = from_json(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise NotARecordError("not_json") from None
    match content:
        case {"requestPayload": event}:
            return _log_data(event)
        case _:
            raise NotARecordError("no_record")


def _log_data(event: Any) -> LogData | None:
    try:
        return decode(source(event))
    except UndecodableError:
        raise NotARecordError("undecodable") from None
