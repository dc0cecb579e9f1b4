"""Entries of Cloud Logging, and the messages that bring them."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from loki_shipper.google.entry import LoggedEntry, read_entry
from loki_shipper.google.request import PubSubMessage, read_messages

EVENTS = Path(__file__).resolve().parents[2] / "events"
AT = "2026-11-10T09:40:01.904318702Z"
AT_NS = 1_794_303_601_904_318_702
LOG = "projects/shop-prod/logs/app"


def log_entry(**fields: Any) -> dict[str, Any]:
    """Give the JSON of an entry with one line of text."""
    return {"logName": LOG, "timestamp": AT, "insertId": "a1", "textPayload": "hello"} | fields


def message(entry: dict[str, Any]) -> PubSubMessage:
    """Give the message that brings an entry."""
    data = b64encode(json.dumps(entry).encode()).decode()
    return PubSubMessage(data, message_id="1", publish_time=AT)


def logged(**fields: Any) -> LoggedEntry:
    """Give an entry as it is shipped."""
    return read_entry(message(log_entry(**fields)))


def sample(name: str) -> LoggedEntry:
    """Give the entry of a sample event."""
    [found] = read_messages(json.loads((EVENTS / f"google-{name}.json").read_bytes()))
    return read_entry(found)


def line(entry: LoggedEntry) -> str:
    """Give the line of an entry."""
    [event] = entry.data.log_events
    return event.message
