"""Reads a LogEntry out of a message, and gives its line, its time and its origin.

The fields are those of https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry. Google
adds fields, so unknown ones are ignored, and an optional field of an unexpected type counts as
absent.
"""

import zlib
from binascii import Error as NotBase64Error
from typing import Any, Final
from urllib.parse import unquote

import pybase64
from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, encode
from msgspec.json import format as reformat

from loki_shipper.google.request import PubSubMessage
from loki_shipper.google.timestamp import timestamp_ns
from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.entries.offsets import OWN_PLACE

SKYPILOT: Final = {
    "skypilot_cluster_name": "skypilot.cluster_name",
    "skypilot_cluster_id": "skypilot.cluster_id",
}
"""Labels that SkyPilot gives an entry, and the members that it adds to a line in CloudWatch."""

SKYPILOT_LOG_GROUP: Final = "skypilot-logs"

_MS: Final = 1_000_000
_US: Final = 1_000
_LEVELS: Final = {
    "DEBUG": "debug",
    "INFO": "info",
    "NOTICE": "info",
    "WARNING": "warn",
    "ERROR": "error",
    "CRITICAL": "critical",
    "ALERT": "critical",
    "EMERGENCY": "fatal",
}


class NotALogEntryError(Exception):
    """Raised when a message holds no LogEntry; the message is a reason of one word."""


class LogEntry(Struct, frozen=True, rename="camel"):
    """An entry as Cloud Logging exports it. A payload is the JSON text that Google wrote."""

    log_name: str
    timestamp: Any = None
    receive_timestamp: Any = None
    resource: Any = None
    severity: Any = None
    insert_id: Any = None
    labels: Any = None
    trace: Any = None
    span_id: Any = None
    text_payload: str | None = None
    json_payload: Raw = Raw()
    proto_payload: Raw = Raw()
    http_request: Raw = Raw()
    operation: Any = None
    source_location: Any = None
    split: Any = None


class EntryOrigin(Struct, frozen=True):
    """Where an entry comes from; a text is empty if the entry does not say it.

    `service` is that of a resource on Cloud Run. Labels of the entry itself change nothing here.
    """

    project: str
    location: str
    resource_type: str
    log_name: str
    service: str


class LoggedEntry(Struct, frozen=True):
    """An entry, ready to ship.

    `data` holds its line as the only log event; its log group is the name by which rules select
    lines. `labels` are those of the resource and of the entry. `level` is one of Loki's, or empty.
    """

    message: PubSubMessage
    entry: LogEntry
    origin: EntryOrigin
    labels: dict[str, str]
    level: str
    data: LogData

    @property
    def is_skypilot(self) -> bool:
        """Tell whether SkyPilot's labels are in the line, as in CloudWatch."""
        return self.data.log_group == SKYPILOT_LOG_GROUP


_decode = Decoder(LogEntry).decode
_members = Decoder(dict[str, Raw]).decode


def read_entry(message: PubSubMessage) -> LoggedEntry:
    """Read the entry of a message. Raises NotALogEntryError."""
    try:
        text = pybase64.b64decode(message.data, validate=True)
    except NotBase64Error:
        raise NotALogEntryError("not_base64") from None
    try:
        return _read(_decode(text), message)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        raise NotALogEntryError("no_log_entry") from None


def _read(entry: LogEntry, message: PubSubMessage) -> LoggedEntry:
    ms, place = divmod(_moment(entry, message), _MS)
    of_resource = _texts(member(entry.resource, "labels"))
    labels = {**of_resource, **_texts(entry.labels)}
    is_skypilot = bool(_payload(entry)) and "skypilot_cluster_name" in labels
    origin = _origin(entry, of_resource)
    event = LogEvent(f"{OWN_PLACE}{place}", ms, _line(entry, labels if is_skypilot else {}))
    return LoggedEntry(
        message,
        entry,
        origin,
        labels,
        _LEVELS.get(str(entry.severity).upper(), ""),
        LogData(
            "DATA_MESSAGE",
            origin.project,
            SKYPILOT_LOG_GROUP if is_skypilot else origin.log_name,
            "",
            [event],
        ),
    )


def _moment(entry: LogEntry, message: PubSubMessage) -> int:
    """Give the entry's time, in ns since 1970, with a place for its `insertId`.

    Cloud Logging tells two entries of the same time apart by `insertId`, and Loki drops a line that
    is equal at the same time. So digits that a time of micro- or milliseconds leaves free come from
    `insertId`. They are the same on every redelivery.
    """
    for each in (entry.timestamp, entry.receive_timestamp, message.publish_time):
        found = timestamp_ns(each)
        if found is not None:
            free = next((size for size in (_MS, _US) if found % size == 0), 1)
            return found + zlib.crc32(str(entry.insert_id or "").encode()) % free
    raise NotALogEntryError("no_time")


def _line(entry: LogEntry, skypilot: dict[str, str]) -> str:
    """Give the text of an entry, or its payload as JSON, with what belongs to it.

    A request's log has its contents in `httpRequest`, with or without a payload.
    """
    more: dict[str, Any] = {new: skypilot[old] for old, new in SKYPILOT.items() if old in skypilot}
    if _is_object(entry.http_request):
        more["httpRequest"] = entry.http_request
    payload = _payload(entry)
    if payload and not more:
        return _text(payload)
    if payload:
        return _text(encode({**_members(payload), **more}))
    if entry.text_payload is None:
        return _text(encode(more)) if more else ""
    return _text(encode({"message": entry.text_payload, **more})) if more else entry.text_payload


def _payload(entry: LogEntry) -> Raw | None:
    return next((p for p in (entry.json_payload, entry.proto_payload) if _is_object(p)), None)


def _is_object(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def _text(raw: Raw | bytes) -> str:
    text = bytes(raw)
    # A line break within a line would be hard to read in Loki.
    return (reformat(text, indent=-1) if b"\n" in text else text).decode()


def _origin(entry: LogEntry, labels: dict[str, str]) -> EntryOrigin:
    """Give the origin of an entry; `labels` are those of its resource."""
    owner, _, name = entry.log_name.partition("/logs/")
    project = owner.removeprefix("projects/") if owner.startswith("projects/") else ""
    places = (labels.get(key, "") for key in ("location", "region", "zone"))
    return EntryOrigin(
        project or labels.get("project_id", "") or owner,
        next(filter(None, places), ""),
        str(member(entry.resource, "type") or ""),
        unquote(name or entry.log_name),
        labels.get("service_name", ""),
    )


def member(value: Any, key: str) -> Any:
    """Give a member of a JSON object; None if it has none, or is no object."""
    return value.get(key) if isinstance(value, dict) else None


def _texts(value: Any) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {str(key): each if isinstance(each, str) else str(each) for key, each in pairs}
