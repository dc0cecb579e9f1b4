"""What could not be delivered becomes an object in the bucket, from which it can come back."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec.structs import replace

from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.pack import pack

type Folder = Literal["failed", "rejected", "later"]
"""Where an object lies: to be tried again, refused for good, or to be tried from its date on."""

type PutObject = Callable[[str, bytes], None]
"""Writes an object: key and body. Raises SpillError."""


class DeadLetterError(Exception):
    """Raised when the bucket cannot be written, so that the invocation must fail instead."""


def write_dead_letter(  # noqa: PLR0913 - each is a part of what is written
    data: LogData,
    events: list[LogEvent],
    *,
    folder: Folder,
    reason: str,
    put: PutObject,
    due: int | None = None,
) -> None:
    """Write just these log events of a payload, in the shape of Lambda's on-failure record.

    The key is a pure function of events and reason, so a repeat overwrites itself. It is dated by
    `due`, in ms since 1970: when the events are to be tried again, by default their own time.
    """
    kept = replace(data, log_events=events)
    dated = max(event.timestamp for event in events) if due is None else due
    _write({"awslogs": {"data": pack(kept)}}, dated, folder=folder, reason=reason, put=put)


def write_undecodable(event: Any, *, reason: str, put: PutObject) -> None:
    """Write an event as it came, where no log data could be read from it."""
    _write(event, 0, folder="rejected", reason=reason, put=put)


def _write(payload: Any, dated: int, *, folder: str, reason: str, put: PutObject) -> None:
    when = datetime.fromtimestamp(dated / 1000, UTC)
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
