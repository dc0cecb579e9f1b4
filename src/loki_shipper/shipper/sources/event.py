"""Reads the records of an invocation's event, whichever service sent it."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from loki_shipper.model import LogData
from loki_shipper.shipper.sources.decode import UndecodableError, decode


class Record(Struct, frozen=True):
    """One record of an event.

    `payloads` are its log data: none for a control message, and none for a record that cannot be
    decoded, where `fault` says why. `event` is an event that holds only this record.
    `item_identifier` is the record's name in an answer with `batchItemFailures`; None where Lambda
    takes no such answer.
    """

    event: Any
    payloads: tuple[LogData, ...] = ()
    fault: str | None = None
    item_identifier: str | None = None


def read_records(event: Any) -> Iterator[Record]:
    """Read each record of an event.

    A subscription filter sends one record: `{"awslogs": {"data": "<base64 of gzip of JSON>"}}`.
    """
    match event:
        case {"awslogs": {"data": str(data)}}:
            yield _read(data, event)
        case _:
            yield Record(event, fault="the event has no text at awslogs.data")


def records(event: Any) -> list[LogData]:
    """Read the log data of an event. Raises UndecodableError if a record cannot be decoded."""
    found: list[LogData] = []
    for record in read_records(event):
        if record.fault is not None:
            raise UndecodableError(record.fault)
        found += record.payloads
    return found


def takes_item_failures(event: Any) -> bool:
    """Tell whether Lambda takes an answer that names the records of this event that failed."""
    return isinstance(event, dict) and "Records" in event


def _read(text: str, event: Any, item_identifier: str | None = None) -> Record:
    try:
        data = decode(text)
    except UndecodableError as error:
        return Record(event, (), str(error), item_identifier)
    return Record(event, () if data is None else (data,), None, item_identifier)
