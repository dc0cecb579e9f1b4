"""Reads the records in the body of an object."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import DecodeError
from msgspec.json import decode as from_json
from msgspec.json import encode
from msgspec.structs import replace

from loki_shipper.model import LogData
from loki_shipper.redriver.bucket import StoredObject, sender_of
from loki_shipper.shipper.delivery.dead_letters import PutObject, write_records
from loki_shipper.shipper.sources.event import Record, read_records

_LARGE: Final = 2 * 1024 * 1024
_PART: Final = 1024 * 1024
"""Bytes of a body that is divided, and of each part: 6 MB of a Kinesis batch may unpack to more
text than fits into memory."""


class NotARecordError(Exception):
    """Raised when a body holds no log data; the message is a reason of one word."""


def read_stored_records(key: str, body: bytes) -> list[Record]:
    """Read the records of an on-failure record, Lambda's or the shipper's.

    The shape is `{"requestPayload": <event>, …}`, and for Kinesis `{"payload": "<event>", …}` with
    the event as JSON text
    (https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html). At least one
    of the records can be decoded. Raises NotARecordError.

    If another account has written the object, its payloads are of that account, whatever they say:
    CloudWatch Logs vouches for nothing in them, and they come from no log file that we read.
    """
    found = [*read_records(_event(body))]
    sender, faults = sender_of(key), [record.fault for record in found if record.fault is not None]
    # A part that cannot be decoded must keep the account in its key, so the object stays whole.
    if len(faults) == len(found) or (faults and sender is not None):
        raise NotARecordError("undecodable")
    return found if sender is None else [_sent_by(sender, record) for record in found]


def _sent_by(sender: str, record: Record) -> Record:
    return replace(record, payloads=[_owned_by(sender, data) for data in record.payloads])


def _owned_by(sender: str, data: LogData) -> LogData:
    events = [replace(event, extracted_fields=None) for event in data.log_events]
    return replace(data, owner=sender, log_events=events, log_file=None)


def write_in_parts(stored: StoredObject, body: bytes, put: PutObject) -> bool:
    """Write the records of a large batch again, in several objects; False if it is not large.

    An object of another account stays whole, as the account is in its key. Raises NotARecordError,
    and DeadLetterError.
    """
    if len(body) <= _LARGE or sender_of(stored.key) is not None:
        return False
    match _event(body):
        case {"Records": [_, _, *_] as records}:
            newest = int(stored.written.timestamp() * 1000)
            for part in _parts(records):
                write_records(part, newest=newest, reason="divided", put=put)
            return True
        case _:
            return False


def _parts(records: list[Any]) -> Iterator[list[Any]]:
    part: list[Any] = []
    size = 0
    for record in records:
        record_size = len(encode(record))
        if part and size + record_size > _PART:
            yield part
            part, size = [], 0
        part.append({"Records": [record]})
        size += record_size
    yield part


def _event(body: bytes) -> Any:
    match _from_json(body):
        case {"requestPayload": event}:
            return event
        case {"payload": str(text)}:
            return _from_json(text)
        case _:
            raise NotARecordError("no_record")


def _from_json(text: bytes | str) -> Any:
    try:
        return from_json(text)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise NotARecordError("not_json") from None
