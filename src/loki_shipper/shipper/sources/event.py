"""Reads the records of an invocation's event, whichever service sent it."""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from loki_shipper.model import LogData
from loki_shipper.shipper.sources.centralized import split_by_source
from loki_shipper.shipper.sources.decode import UndecodableError, decode, from_base64
from loki_shipper.shipper.sources.kinesis import disaggregate
from loki_shipper.shipper.sources.times import with_times


class Record(Struct, frozen=True):
    """One record of an event.

    `payloads` are its log data: none for a control message, and none for a record that cannot be
    decoded, where `fault` says why. `event` is an event that holds only this record.
    `item_identifier` is the record's name in an answer with `batchItemFailures`; None where Lambda
    takes no such answer. An empty one makes Lambda send the whole batch again.
    """

    event: Any
    payloads: list[LogData] = []
    fault: str | None = None
    item_identifier: str | None = None


def read_records(event: Any) -> Iterator[Record]:
    """Read each record of an event.

    A subscription filter sends one: `{"awslogs": {"data": "<base64 of gzip of JSON>"}}`. Kinesis
    sends `{"Records": [{"kinesis": {"data": "<the same>", "sequenceNumber": …}, …}, …]}`.
    """
    match event:
        case {"awslogs": {"data": str(text)}}:
            yield from _records(text, event)
        case {"Records": [*found]}:
            for each in found:
                yield from _of_kinesis(each, {"Records": [each]})
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


def is_of_queue(event: Any) -> bool:
    """Tell whether an event holds messages of a queue, which name log files in S3."""
    match event:
        case {"Records": [{"eventSource": "aws:sqs"}, *_]}:
            return True
        case _:
            return False


def takes_item_failures(event: Any) -> bool:
    """Tell whether Lambda takes an answer that names the records of this event that failed.

    The event source mappings of a Kinesis stream and of a queue do. For an event of another service
    such an answer would be a success, and the event would be lost.
    """
    match event:
        case {"Records": [{"eventSource": "aws:kinesis" | "aws:sqs"}, *_]}:
            return True
        case _:
            return False


def _of_kinesis(record: Any, event: Any) -> Iterator[Record]:
    match record:
        case {"kinesis": {"data": str(text), "sequenceNumber": str(number)} as kinesis}:
            match kinesis:
                case {"approximateArrivalTimestamp": int() | float() as seconds}:
                    arrived = int(seconds * 1000)
                case _:
                    arrived = 0
            yield from _records(text, event, number, arrived)
        case _:
            yield Record(event, fault="the record has no text at kinesis.data", item_identifier="")


def _records(
    text: str, event: Any, item_identifier: str | None = None, arrived: int = 0
) -> Iterator[Record]:
    try:
        parts = disaggregate(from_base64(text))
    except UndecodableError as error:
        yield Record(event, [], str(error), item_identifier)
        return
    for part in parts:
        try:
            data = decode(part)
        except UndecodableError as error:
            yield Record(event, [], str(error), item_identifier)
            continue
        payloads = [] if data is None else split_by_source(with_times(data, arrived))
        yield Record(event, payloads, None, item_identifier)
