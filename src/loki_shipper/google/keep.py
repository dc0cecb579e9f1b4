"""Keeps what Loki refuses for good in a bucket, in the shape of our dead letters.

Pub/Sub itself keeps what may succeed later. The event of an object is what a pull returns, so
`redrive` and `invoke` read it. A redacted line is redacted there too.
"""

from collections.abc import Iterator, Sequence
from itertools import batched

from msgspec import DecodeError, Raw
from msgspec.json import decode, encode
from msgspec.structs import replace
from pybase64 import b64decode, b64encode

from loki_shipper.google.entry import LoggedEntry
from loki_shipper.google.request import MAX_MESSAGES, PubSubMessage, pulled
from loki_shipper.model import LogEvent
from loki_shipper.shipper.delivery.dead_letters import PutObject, write_event
from loki_shipper.shipper.delivery.outcome import Shipped

REJECTED = "rejected/"
"""Folder of what Loki refused for good, and of messages that are no entry."""

_PAYLOADS = ("textPayload", "jsonPayload", "protoPayload", "httpRequest")


def keep_rejected(
    entries: Sequence[LoggedEntry], shipped: Sequence[Shipped], put: PutObject
) -> None:
    """Write the entries that Loki refused for good, together. Raises DeadLetterError."""
    by_reason: dict[str, list[tuple[LoggedEntry, LogEvent]]] = {}
    for entry, each in zip(entries, shipped, strict=True):
        for reason, events in each.settled.rejected.items():
            by_reason.setdefault(reason, []).extend((entry, event) for event in events)
    for reason, refused in by_reason.items():
        for some in batched(refused, MAX_MESSAGES):
            messages = [_redacted(entry, event) for entry, event in some]
            newest = max(event.timestamp for _, event in some)
            _write(messages, newest, reason, put)


def keep_message(message: PubSubMessage, reason: str, put: PutObject) -> None:
    """Write a message that is no entry, or breaks the shipper. Raises DeadLetterError."""
    _write([message], 0, reason, put)


def _write(messages: list[PubSubMessage], newest: int, reason: str, put: PutObject) -> None:
    folder = REJECTED.removesuffix("/")
    write_event(pulled(messages), newest, folder=folder, reason=reason, put=put)


def _redacted(entry: LoggedEntry, event: LogEvent) -> PubSubMessage:
    """Return the message of an entry with the line as rules have redacted it."""
    [original] = entry.data.log_events
    if event.message == original.message:
        return entry.message
    members = decode(b64decode(entry.message.data), type=dict[str, Raw])
    kept = {name: value for name, value in members.items() if name not in _PAYLOADS}
    written = encode({**kept, **dict(_payload(event.message))})
    return replace(entry.message, data=b64encode(written).decode())


def _payload(line: str) -> Iterator[tuple[str, Raw | str]]:
    if line.startswith("{"):
        try:
            decode(line)
        except (DecodeError, RecursionError):
            pass
        else:
            yield "jsonPayload", Raw(line.encode())
            return
    yield "textPayload", line
