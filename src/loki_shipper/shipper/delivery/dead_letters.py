"""Writes log events that Loki did not take to the bucket, as dead letters for the redriver."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec.structs import replace

from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.pack import pack

type Folder = Literal["failed", "rejected", "later"]
"""The folder of an object: retry it, refused for good, or retry it from its date on."""

FIRST_LINES = "first-lines/"
"""Folder of first lines that other accounts write, with a folder for each account."""

type PutObject = Callable[[str, bytes], None]
"""Writes an object: key and body. Raises DeadLetterError."""


class DeadLetterError(Exception):
    """Raised when the bucket cannot be written. The invocation must then fail."""


def first_lines_folder(account: str) -> str:
    """Give the folder for the first lines of an account, where the policy lets it write."""
    return f"{FIRST_LINES}{account}"


def write_dead_letter(  # noqa: PLR0913 - each is a part of the object
    data: LogData,
    events: list[LogEvent],
    *,
    folder: str,
    reason: str,
    put: PutObject,
    due: int | None = None,
) -> None:
    """Write these log events of a payload, in the shape of Lambda's on-failure record.

    The key depends on events and reason only, so writing them again replaces the object. The key's
    date is `due`, in ms since 1970: the time of the next try. By default it is the time of the
    newest event.
    """
    partial = replace(data, log_events=events)
    date = max(event.timestamp for event in events) if due is None else due
    write_event({"awslogs": {"data": pack(partial)}}, date, folder=folder, reason=reason, put=put)


def write_undecodable(event: Any, *, reason: str, put: PutObject) -> None:
    """Write an invocation event unchanged, if the shipper cannot decode it."""
    write_event(event, 0, folder="rejected", reason=reason, put=put)


def write_records(events: list[Any], *, newest: int, reason: str, put: PutObject) -> None:
    """Write failed records of a batch in one object, each unchanged.

    Each event holds one record in `Records`. `newest` is the time of the newest log event, in ms
    since 1970.
    """
    batch = {"Records": [record for event in events for record in event["Records"]]}
    write_event(batch, newest, folder="failed", reason=reason, put=put)


def write_event(payload: Any, date: int, *, folder: str, reason: str, put: PutObject) -> None:
    """Write an event in the shape of Lambda's on-failure record; `date` is in ms since 1970."""
    kind = folder.partition("/")[0].capitalize()
    when = datetime.fromtimestamp(date / 1000, UTC)
    # An undecodable event may hold lone surrogates. json escapes them; msgspec would fail.
    body = json.dumps(
        {
            "version": "1.0",
            "timestamp": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {"condition": kind},
            "requestPayload": payload,
            "responsePayload": {"errorType": kind, "errorMessage": reason},
        },
        separators=(",", ":"),
    ).encode()
    digest = hashlib.sha256(body).hexdigest()[:32]
    put(f"{folder}/{when:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{digest}.json", body)
