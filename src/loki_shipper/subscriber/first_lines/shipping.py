"""Ships payloads of one log group through the shipper, no faster than Loki takes a stream."""

from collections.abc import Callable
from typing import Any

from loki_shipper.clock import Clock
from loki_shipper.model import LogData
from loki_shipper.shipper.sources.pack import pack
from loki_shipper.subscriber.first_lines.payload import text_bytes

BYTES_PER_SECOND = 1_000_000
"""Most bytes a second for one log group, as Loki counts them: lines with structured metadata.

Stock Loki splits a stream into shards above 1536 KB a second (`shard_streams.desired_rate` of
`limits_config`), and then answers 204 to a push of which it refuses a part. Live lines of the same
log group need room too.
"""

_BESIDE = 100
"""Bytes of structured metadata of a line beside the name of its log stream: the names, and what
rules note, such as the request id."""

type ShipLogData = Callable[[LogData], dict[str, Any]]
"""Ships a payload and gives the shipper's report. Raises AwsError."""


def shipping(invoke: Callable[[dict[str, Any]], dict[str, Any]], clock: Clock) -> ShipLogData:
    """Give the way to ship the payloads of one log group.

    Each payload waits until those before it have been spread over enough time. `invoke` hands an
    event to the shipper and gives its report.
    """
    free_at = clock.now()

    def ship(data: LogData) -> dict[str, Any]:
        nonlocal free_at
        clock.sleep(max(0, free_at - clock.now()) / 1000)
        free_at = clock.now() + -(-_counted(data) * 1000 // BYTES_PER_SECOND)
        return invoke({"awslogs": {"data": pack(data)}})

    return ship


def _counted(data: LogData) -> int:
    beside = len(data.log_stream.encode()) + _BESIDE
    return text_bytes(data) + beside * len(data.log_events)
