"""Makes invocation events from lines, as CloudWatch Logs sends them."""

from collections.abc import Iterable
from hashlib import sha256
from itertools import batched
from typing import Any

from msgspec import Struct, structs

from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.event import records
from loki_shipper.shipper.sources.pack import pack

OWNER = "123456789012"
FILTER = "loki-shipper"
_CALL_EVENTS = 10_000
"""AWS's quota for the log events of one PutLogEvents call."""

_INGESTION_MS = 400
_SHARD = "shardId-000000000000"
_FIRST_SEQUENCE_NUMBER = 49_668_214_730_152_608_559_692_538_361_571_095_921_575_989_136_588_898_000
_ID_DIGITS = 56
_64_BITS = (1 << 64) - 1


class Call(Struct, frozen=True):
    """One PutLogEvents call: its ingestion time, and lines with their times, in ms."""

    ingested: int
    lines: list[tuple[int, str]]


def event_id(timestamp: int, ingested: int, call: int, index: int) -> str:
    """Return a log event's id in the layout of CloudWatch Logs, with 56 digits.

    The parts are the event's ms, the ingestion's ms (64 bits), a number of the PutLogEvents call
    (64 bits, random on AWS) and the event's index in that call (16 bits). AWS does not document
    the layout; it comes from real ids.
    """
    return f"{timestamp << 144 | ingested << 80 | call << 16 | index:0{_ID_DIGITS}d}"


def log_data(
    log_group: str, log_stream: str, calls: Iterable[Call], *, owner: str = OWNER
) -> LogData:
    """Return a subscription filter's payload with the lines of these calls."""
    events: list[LogEvent] = []
    for number, call in enumerate(calls):
        seed = f"{log_group} {log_stream} {call.ingested} {number}"
        drawn = int.from_bytes(sha256(seed.encode()).digest()[:8])
        events += (
            LogEvent(event_id(timestamp, call.ingested, drawn, index), timestamp, line)
            for index, (timestamp, line) in enumerate(call.lines)
        )
    return LogData("DATA_MESSAGE", owner, log_group, log_stream, events, [FILTER])


def from_lines(lines: Iterable[str], *, log_group: str, log_stream: str, newest: int) -> LogData:
    """Return the payload of lines, one a millisecond, the last at `newest` (ms).

    Empty lines are left out, as CloudWatch Logs rejects them.
    """
    kept = [line for line in lines if line]
    timed = enumerate(kept, newest - len(kept) + 1)
    parts = batched(timed, _CALL_EVENTS)
    calls = (Call(newest + _INGESTION_MS, list(part)) for part in parts)
    return log_data(log_group, log_stream, calls)


def invocation_event(data: LogData) -> dict[str, Any]:
    """Return the event with which Lambda invokes the function for a payload."""
    return {"awslogs": {"data": pack(data)}}


def retimed(event: Any, newest: int) -> Any:
    """Shift the times of an invocation event: its newest log event is then at `newest` (ms).

    Stock Loki rejects lines older than seven days, and samples age. Ids in AWS's layout shift too.
    Lines stay unchanged, even with a time in them, and so does an event without log events. Raises
    UndecodableError.
    """
    payloads = [data for data in records(event) if data.log_events]
    if not payloads:
        return event
    shift = newest - max(each.timestamp for data in payloads for each in data.log_events)
    moved = [
        structs.replace(data, log_events=[_moved(each, shift) for each in data.log_events])
        for data in payloads
    ]
    return invocation_event(moved[0]) if len(moved) == 1 else kinesis_event(moved)


def kinesis_event(payloads: Iterable[LogData]) -> dict[str, Any]:
    """Return the event with which Lambda invokes the function for a batch of a Kinesis stream.

    Each payload is one record. The newest log event says when it arrived.
    """
    return {"Records": [_record(number, data) for number, data in enumerate(payloads)]}


def _record(number: int, data: LogData) -> dict[str, Any]:
    sequence_number = str(_FIRST_SEQUENCE_NUMBER + number)
    arrived = max((event.timestamp for event in data.log_events), default=0)
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": sha256(f"{data.log_group} {data.log_stream}".encode()).hexdigest()[:32],
            "sequenceNumber": sequence_number,
            "data": pack(data),
            "approximateArrivalTimestamp": (arrived + _INGESTION_MS) / 1000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{_SHARD}:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{OWNER}:role/loki-shipper-KinesisRole",
        "awsRegion": "eu-central-1",
        "eventSourceARN": f"arn:aws:kinesis:eu-central-1:{OWNER}:stream/logs",
    }


def _moved(event: LogEvent, shift: int) -> LogEvent:
    timestamp = event.timestamp + shift
    number = _number(event.id)
    if not number or number >> 144 != event.timestamp:
        return structs.replace(event, timestamp=timestamp)
    call, index = number >> 16 & _64_BITS, number & 0xFFFF
    ingested = (number >> 80 & _64_BITS) + shift
    return structs.replace(
        event, timestamp=timestamp, id=event_id(timestamp, ingested, call, index)
    )


def _number(event_id: str | int) -> int:
    digits = str(event_id)
    return int(digits) if len(digits) == _ID_DIGITS and digits.isdecimal() else 0
