"""From log events that were read back to the events that a filter would have sent."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from msgspec import Struct

from loki_shipper.model import LogData, LogEvent

WINDOW_MS = 1_800_000
_MAX_BYTES = 1_000_000


class Origin(Struct, frozen=True):
    """Whose log events they are: an account's, and through which filter they would have come."""

    account: str
    log_group: str
    filter_name: str


def payloads(events: Iterable[tuple[str, LogEvent]], origin: Origin) -> Iterator[LogData]:
    """Pack log events, each with its log stream, into payloads of one log stream each.

    In order of time, half an hour after half an hour, as Loki takes what is up to an hour behind
    the newest of its stream; some 1 MB at most, as CloudWatch Logs itself does.
    """
    ordered = sorted(events, key=lambda each: (each[1].timestamp // WINDOW_MS, each[0], _at(each)))
    for (_, log_stream), some in groupby(
        ordered, key=lambda each: (each[1].timestamp // WINDOW_MS, each[0])
    ):
        for part in _parts(event for _, event in some):
            yield LogData(
                "DATA_MESSAGE",
                origin.account,
                origin.log_group,
                log_stream,
                part,
                [origin.filter_name],
            )


def _at(each: tuple[str, LogEvent]) -> tuple[int, str]:
    return each[1].timestamp, str(each[1].id)


def _parts(events: Iterable[LogEvent]) -> Iterator[list[LogEvent]]:
    part: list[LogEvent] = []
    size = 0
    for event in events:
        length = len(event.message.encode("utf-8", "replace"))
        if part and size + length > _MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(event)
        size += length
    if part:
        yield part
