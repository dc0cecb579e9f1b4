"""From log events that were read back to the events that a filter would have sent."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from msgspec import Struct

from loki_shipper.model import LogData, LogEvent

_MAX_BYTES = 1_000_000


class FilteredGroup(Struct, frozen=True):
    """Whose log events they are: an account's, and through which filter they would have come."""

    account: str
    log_group: str
    filter_name: str


def payloads(events: Iterable[tuple[str, LogEvent]], origin: FilteredGroup) -> Iterator[LogData]:
    """Pack log events, each with its log stream, into payloads of one log stream each.

    A payload holds at most 1 MB of text, as those of CloudWatch Logs do. Their order means nothing:
    old lines go to streams of their own half hour, which take them in any order.
    """
    streams: defaultdict[str, list[LogEvent]] = defaultdict(list)
    for log_stream, event in events:
        streams[log_stream].append(event)
    for log_stream, some in streams.items():
        for part in _parts(some):
            yield LogData(
                "DATA_MESSAGE",
                origin.account,
                origin.log_group,
                log_stream,
                part,
                [origin.filter_name],
            )


def text_bytes(data: LogData) -> int:
    """Give the length of all lines of a payload together, in bytes of UTF-8."""
    return sum(map(_length, data.log_events))


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
