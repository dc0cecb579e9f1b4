"""Packs log events that were read back into payloads, and ships them at a limited rate."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from loki_shipper.clock import Clock
from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.pack import pack

_MAX_BYTES = 1_000_000

BYTES_PER_SECOND = 1_000_000
"""Rate for one log group, as Loki counts bytes: lines with their structured metadata.

Stock Loki splits a stream into shards above 1536 KB a second (`shard_streams.desired_rate` of
`limits_config`), and then answers 204 to a push although it refuses a part of it. The log group's
live lines need room too.
"""

_METADATA_BYTES = 100
"""Structured metadata of a line without the name of its log stream, in bytes: the field names, and
values that rules extract, such as the request id."""

type ShipLogData = Callable[[LogData], dict[str, Any]]
"""Ships a payload and gives the shipper's report. Raises AwsError."""


class FilteredGroup(Struct, frozen=True):
    """A log group of an account, and the filter that would have delivered its log events."""

    account: str
    log_group: str
    filter_name: str


def payloads(events: Iterable[tuple[str, LogEvent]], group: FilteredGroup) -> Iterator[LogData]:
    """Pack log events, each with its log stream, into payloads as CloudWatch Logs sends them.

    A payload belongs to one log stream and holds at most 1 MB of text. The order does not matter:
    old lines go to the late stream of their half hour, which takes them in any order.
    """
    streams: defaultdict[str, list[LogEvent]] = defaultdict(list)
    for log_stream, event in events:
        streams[log_stream].append(event)
    for log_stream, some in streams.items():
        for part in _parts(some):
            yield LogData(
                "DATA_MESSAGE",
                group.account,
                group.log_group,
                log_stream,
                part,
                [group.filter_name],
            )


def text_bytes(data: LogData) -> int:
    """Give the length of all lines of a payload together, in bytes of UTF-8."""
    return sum(map(_length, data.log_events))


def rate_limited(invoke: Callable[[dict[str, Any]], dict[str, Any]], clock: Clock) -> ShipLogData:
    """Give a function that ships payloads of one log group at BYTES_PER_SECOND at most.

    `invoke` invokes the shipper with an event and gives its report.
    """
    free_at = clock.now()

    def ship(data: LogData) -> dict[str, Any]:
        nonlocal free_at
        clock.sleep(max(0, free_at - clock.now()) / 1000)
        free_at = clock.now() + -(-_counted(data) * 1000 // BYTES_PER_SECOND)
        return invoke({"awslogs": {"data": pack(data)}})

    return ship


def _counted(data: LogData) -> int:
    metadata = len(data.log_stream.encode()) + _METADATA_BYTES
    return text_bytes(data) + metadata * len(data.log_events)


def _parts(events: Iterable[LogEvent]) -> Iterator[list[LogEvent]]:
    part: list[LogEvent] = []
    size = 0
    for event in events:
        length = _length(event)
        if part and size + length > _MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part


def _length(event: LogEvent) -> int:
    return len(event.message.encode("utf-8", "replace"))
