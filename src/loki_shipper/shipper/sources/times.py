"""Gives a time to log events that have none."""

from operator import attrgetter

from msgspec.structs import replace

from loki_shipper.model import LogData

_timestamp = attrgetter("timestamp")


def with_times(data: LogData, arrived: int) -> LogData:
    """Replace each timestamp 0 by the latest one of the payload, or else by `arrived`, in ms.

    A time of 1970 is no time: Loki would refuse the line as too old. The same payload always gets
    the same times, so that a redelivery is a duplicate for Loki.
    """
    if 0 not in map(_timestamp, data.log_events):
        return data
    latest = max(map(_timestamp, data.log_events)) or arrived
    events = [
        event if event.timestamp else replace(event, timestamp=latest) for event in data.log_events
    ]
    return replace(data, log_events=events)
