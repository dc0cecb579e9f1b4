"""Runs the service of Google Cloud on one event, and records every push."""

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import pybase64
from msgspec.structs import replace

from loki_shipper.google.entry import LoggedEntry, NotALogEntryError, read_entry
from loki_shipper.google.request import NotAMessageError, PubSubMessage, pulled, read_messages
from loki_shipper.google.settings import GoogleSettings
from loki_shipper.google.ship import GoogleDependencies, ship_entries
from loki_shipper.google.timestamp import rfc3339, timestamp_ns
from loki_shipper.local.invoke import (
    SECONDS,
    Invocation,
    LokiConnection,
    Pushed,
    recorded_delivery,
)
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.outcome import total
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.rules.model import Rules
from loki_shipper.shipper.sources.decode import UndecodableError

_MS = 1_000_000


def is_of_google(event: Any) -> bool:
    """Tell whether an event holds messages of Pub/Sub."""
    return isinstance(event, dict) and not event.keys().isdisjoint({"message", "receivedMessages"})


def read_event(event: Any) -> list[LoggedEntry]:
    """Read the entries of an event of Google Cloud. Raises UndecodableError."""
    try:
        return [read_entry(message) for message in read_messages(event)]
    except (NotAMessageError, NotALogEntryError) as error:
        raise UndecodableError(str(error)) from None


def invoke_google(
    entries: Sequence[LoggedEntry],
    settings: Settings,
    google: GoogleSettings,
    rules: Rules,
    loki: LokiConnection | None,
) -> Invocation:
    """Ship entries; without `loki`, every push succeeds and nothing is sent."""
    pushes: list[Pushed] = []
    end = time.monotonic() + SECONDS
    newest = max((each.data.log_events[0].timestamp for each in entries), default=0)
    delivery = recorded_delivery(
        pushes, loki, lambda: end - time.monotonic(), settings, newest=newest
    )
    deps = GoogleDependencies(settings, google, RuleState(rules, {}), delivery)
    shipped = ship_entries(entries, deps)
    return Invocation(pushes, total([each.report(failure=None) for each in shipped]))


def retimed_google(event: Any, newest: int) -> Any:
    """Shift the times of an event: its newest entry is then at `newest`, in ms since 1970.

    Raises UndecodableError.
    """
    entries = read_event(event)
    moments = [timestamp_ns(each.entry.timestamp) or 0 for each in entries]
    shift = newest * _MS - max(moments, default=0)
    moved = zip(entries, moments, strict=True)
    return pulled(_at(each.message, moment + shift) for each, moment in moved)


def _at(message: PubSubMessage, moment: int) -> PubSubMessage:
    entry = json.loads(pybase64.b64decode(message.data)) | {"timestamp": rfc3339(moment)}
    return replace(message, data=b64encode(json.dumps(entry).encode()).decode())
