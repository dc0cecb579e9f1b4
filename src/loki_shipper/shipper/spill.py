"""What could not be delivered becomes an object in the bucket, from which it can come back."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec.structs import replace

from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.pack import pack

type Put = Callable[[str, bytes], None]
"""Writes an object: key and body. Raises SpillError."""


class SpillError(Exception):
    """Raised when the bucket cannot be written, so that the invocation must fail instead."""


def spill(
    data: LogData,
    events: list[LogEvent],
    *,
    folder: Literal["failed", "rejected"],
    reason: str,
    put: Put,
) -> None:
    """Write just these log events of a payload, in the shape of Lambda's on-failure record.

    The key is a pure function of events and reason, so a repeat overwrites itself.
    """
    kept = replace(data, log_events=events)
    newest = max(event.timestamp for event in events)
    _write({"awslogs": {"data": pack(kept)}}, newest, folder=folder, reason=reason, put=put)


def spill_undecodable(event: Any, *, reason: str, put: Put) -> None:
    """Write an event as it came, where no log data could be read from it."""
    _write(event, 0, folder="rejected", reason=reason, put=put)


def _write(payload: Any, newest: int, *, folder: str, reason: str, put: Put) -> None:
    when = datetime.fromtimestamp(newest / 1000, UTC)
    # An event that cannot be decoded may hold what only escapes can: json writes nothing else.
    body = json.dumps(
        {
            "version": "1.0",
            "timestamp": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {"condition": folder.capitalize()},
            "requestPayload": payload,
            "responsePayload": {"errorType": folder.capitalize(), "errorMessage": reason},
        },
        separators=(",", ":"),
    ).encode()
    digest = hashlib.sha256(body).hexdigest()[:32]
    put(f"{folder}/{when:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{digest}.json", body)
