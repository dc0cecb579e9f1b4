"""Sample events: from lines to the invocation event that CloudWatch Logs would send. Pure."""

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
"""Most log events of one PutLogEvents call, a quota of AWS."""

_INGESTION_MS = 400
_ID_DIGITS = 56
_64_BITS = (1 << 64) - 1


class Call(Struct, frozen=True):
    """One PutLogEvents call: when it was ingested, and lines with their times, all in ms."""

    ingested: int
    lines: list[tuple[int, str]]


def event_id(timestamp: int, ingested: int, call: int, index: int) -> str:
    """Give a log event's id as CloudWatch Logs lays it out, in 56 digits.

    The parts are the event's ms, the ingestion's ms (64 bits), a number of the PutLogEvents call
    (64 bits, random on AWS) and the event's index in that call (16 bits). The layout is not
    documented by AWS; it was read off real ids.
    """
    return f"{timestamp << 144 | ingested << 80 | call << 16 | index:0{_ID_DIGITS}d}"


def log_data(
    log_group: str, log_stream: str, calls: Iterable[Call], *, owner: str = OWNER
) -> LogData:
    """Give the payload of a subscription filter that carries these calls, call after call."""
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
    """Give the payload of lines that were logged one a millisecond, the last at `newest` (ms).

    Empty lines are left out: CloudWatch Logs takes none.
    """
    kept = [line for line in lines if line]
    timed = enumerate(kept, newest - len(kept) + 1)
    parts = batched(timed, _CALL_EVENTS)
    calls = (Call(newest + _INGESTION_MS, list(part)) for part in parts)
    return log_data(log_group, log_stream, calls)


def invocation_event(data: LogData) -> dict[str, Any]:
    """Give the event that Lambda hands to the function for a payload."""
    return {"awslogs": {"data": pack(data)}}


def retimed(event: Any, newest: int) -> Any:
    """Move an invocation event in time, so that its newest log event is at `newest` (ms).

    Stock Loki refuses what is older than seven days, and samples age. Ids in AWS's layout move
    along; lines stay as they are, also where they tell a time. An event without log events is
    returned as it is. Raises UndecodableError.
    """
    payloads = [data for data in records(event) if data.log_events]
    if not payloads:
        return event
    [data] = payloads
    shift = newest - max(each.timestamp for each in data.log_events)
    moved = [_moved(each, shift) for each in data.log_events]
    return invocation_event(structs.replace(data, log_events=moved))


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
