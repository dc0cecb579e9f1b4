"""From an object's body to the log data in it."""

from typing import Any

from msgspec import DecodeError
from msgspec.json import decode as from_json

from loki_shipper.model import LogData
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.sources.event import records


class NotARecordError(Exception):
    """Raised when a body holds no log data; the message is a reason of one word."""


def read_log_data(body: bytes) -> list[LogData]:
    """Read the log data of an on-failure record, Lambda's or the shipper's.

    The shape is `{"requestPayload": <event>}` and more. The list is empty for a control message.
    Raises NotARecordError.
    """
    try:
        content: Any = from_json(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise NotARecordError("not_json") from None
    match content:
        case {"requestPayload": event}:
            pass
        case _:
            raise NotARecordError("no_record")
    try:
        return records(event)
    except UndecodableError:
        raise NotARecordError("undecodable") from None
