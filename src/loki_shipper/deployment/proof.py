"""Proves that a deployment ships: the function ships a line, and Loki returns it."""

import json
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from loki_shipper.doctor.probe import LokiProbe, Reply
from loki_shipper.doctor.round_trip import find_stream
from loki_shipper.local.sample import from_lines
from loki_shipper.model import LogData
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import NoAnswer
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.shipper.labels.decide import label_stream

LOG_GROUP: Final = "/loki-shipper/deploy"
"""Log group of the line; it does not exist."""

_MINUTE_MS: Final = 60_000


class ProofLine(Struct, frozen=True):
    """A line to ship, and the query that finds it in Loki."""

    text: str
    data: LogData
    query: str
    at_ms: int


class NotReadError(Exception):
    """Raised when Loki does not return the line to this machine; the message gives the reason."""


def make_line(settings: Settings, region: str, name: str, at_ms: int) -> ProofLine:
    """Make a line with a name in it, and a query with the labels that these settings give it."""
    text = f"Loki-Shipper is deployed ({name})"
    data = from_lines([text], log_group=LOG_GROUP, log_stream="deploy", newest=at_ms)
    stream = label_stream(data, {}, region=region, settings=settings).stream
    return ProofLine(text, data, f'{label_set(stream.labels)} |= "{name}"', at_ms)


def read_back(probe: LokiProbe, line: ProofLine) -> dict[str, str]:
    """Query Loki for the line, for about ten seconds; return its labels. Raises NotReadError."""
    start, end = ((line.at_ms + each) * 1_000_000 for each in (-_MINUTE_MS, _MINUTE_MS))
    match find_stream(probe, line.query, start, end):
        case NoAnswer(reason):
            raise NotReadError(f"Loki does not answer this machine ({reason})")
        case Reply(status):
            raise NotReadError(f"Loki refuses queries with these credentials ({status})")
        case None:
            raise NotReadError("Loki accepted the line, and does not return it yet")
        case labels:
            return labels


def explore_url(grafana: str, query: str) -> str:
    """Return the URL of Grafana's Explore with a query over the last hour."""
    pane = {
        "datasource": "loki",
        "queries": [{"refId": "A", "expr": query, "datasource": {"type": "loki"}}],
        "range": {"from": "now-1h", "to": "now"},
    }
    panes = quote(json.dumps({"a": pane}, separators=(",", ":")))
    return f"{grafana.rstrip('/')}/explore?schemaVersion=1&panes={panes}"
