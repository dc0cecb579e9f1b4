"""Reads the records in the body of an object."""

from typing import Any

from msgspec import DecodeError
from msgspec.json import decode as from_json

from loki_shipper.shipper.sources.event import Record, read_records


class NotARecordError(Exception):
    """Raised when a body holds no log data; the message is a reason of one word."""


def read_stored_records(body: bytes) -> list[Record]:
    """Read the records of an on-failure record, Lambda's or the shipper's.

    The shape is `{"requestPayload": <event>, …}`, and for Kinesis `{"payload": "<event>", …}` with
    the event as JSON text
    (https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html). At least one
    of the records can be decoded. Raises NotARecordError.
    """
    match _from_json(body):
        case {"requestPayload": event}:
            pass
        case {"payload": str(text)}:
            event = _from_json(text)
        case _:
            raise NotARecordError("no_record")
    found = [*read_records(event)]
    if all(record.fault is not None for record in found):
        raise NotARecordError("undecodable")
    return found


def _from_json(text: bytes | str) -> Any:
    try:
        return from_json(text)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise NotARecordError("not_json") from None
