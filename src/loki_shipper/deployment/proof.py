"""Proof that a deployment ships: the function ships a line, and Loki gives it back."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from msgspec import Struct

from loki_shipper.doctor.probe import LokiProbe
from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.model import LogData
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import NoAnswer
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.shipper.labels.decide import label_stream

LOG_GROUP: Final = "/loki-shipper/deploy"
"""Log group that the line names; there is none of this name."""

_SECOND: Final = 1_000_000_000
_WAITS: Final = (0.0, 0.3, 0.7, 1.5, 3.0, 5.0)
_OK: Final = 200


class ProofLine(Struct, frozen=True):
    """A line that is to be shipped, and how Loki is asked for it."""

    text: str
    data: LogData
    query: str
    at_ms: int


class NotShippedError(Exception):
    """Raised when the function did not deliver the line; the message says why."""


class NotReadError(Exception):
    """Raised when the line could not be read from here; the message says why."""


def make_line(settings: Settings, region: str, name: str, at_ms: int) -> ProofLine:
    """Make a line of this name, as a stack with these settings would label it."""
    text = f"Loki-Shipper is deployed ({name})"
    data = from_lines([text], log_group=LOG_GROUP, log_stream="deploy", newest=at_ms)
    stream = label_stream(data, {}, region=region, settings=settings).stream
    return ProofLine(text, data, f'{label_set(stream.labels)} |= "{name}"', at_ms)


def ship(functions: Any, shipper: str, line: ProofLine) -> None:
    """Let the function ship the line, from where it runs. Raises NotShippedError."""
    answer = functions.invoke(
        FunctionName=shipper,
        InvocationType="RequestResponse",
        Payload=json.dumps(invocation_event(line.data)).encode(),
    )
    said = json.loads(answer["Payload"].read() or b"null")
    report: Mapping[str, Any] = said if isinstance(said, dict) else {}
    if "FunctionError" in answer:
        raise NotShippedError(f"the function fails: {report.get('errorMessage', '')}")
    if report.get("delivered") != 1:
        reasons = [
            reason
            for outcome in ("rejected", "errored", "deferred", "dropped")
            for reason in report.get(outcome) or ()
        ]
        why = ", ".join(reasons) or "it gives no reason"
        raise NotShippedError(f"the function did not deliver a line: {why}")


def read_back(way: LokiProbe, line: ProofLine) -> Mapping[str, str]:
    """Ask Loki for the line, for some ten seconds; return its labels. Raises NotReadError."""
    at = line.at_ms * 1_000_000
    deps = {
        "query": line.query,
        "start": str(at - 60 * _SECOND),
        "end": str(at + 60 * _SECOND),
    }
    for seconds in _WAITS:
        way.sleep(seconds)
        reply = way.get("/loki/api/v1/query_range", deps)
        if isinstance(reply, NoAnswer):
            raise NotReadError(f"Loki cannot be asked from here ({reply.reason})")
        if reply.status != _OK:
            raise NotReadError(f"Loki refuses queries with these credentials ({reply.status})")
        for stream in _streams(reply.body):
            return {str(name): str(value) for name, value in stream["stream"].items()}
    raise NotReadError("Loki took the line, and does not give it back yet")


def _streams(body: str) -> list[Any]:
    try:
        found: list[Any] = json.loads(body)["data"]["result"]
    except (ValueError, KeyError, TypeError):
        raise NotReadError("what answers the query is not Loki") from None
    return found


def explore_url(grafana: str, query: str) -> str:
    """Give the address of Grafana's Explore that shows a query's last hour."""
    pane = {
        "datasource": "loki",
        "queries": [{"refId": "A", "expr": query, "datasource": {"type": "loki"}}],
        "range": {"from": "now-1h", "to": "now"},
    }
    panes = quote(json.dumps({"a": pane}, separators=(",", ":")))
    return f"{grafana.rstrip('/')}/explore?schemaVersion=1&panes={panes}"
