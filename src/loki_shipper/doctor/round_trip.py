"""Ships a line through the deployed function, and finds a line in Loki."""

import json
from http import HTTPStatus
from typing import Any, Final

from loki_shipper.doctor.probe import LokiProbe, Reply
from loki_shipper.local.sample import invocation_event
from loki_shipper.model import LogData
from loki_shipper.shipper.delivery.answer import NoAnswer

_WAITS: Final = (0.0, 0.3, 0.7, 1.5, 3.0, 5.0)
"""Seconds before each query: Loki may need a few seconds until queries find a line."""


class NotShippedError(Exception):
    """Raised when the function does not deliver a line; the message gives the reason.

    `has_failed`: the function failed instead of returning a report.
    """

    def __init__(self, message: str, *, has_failed: bool) -> None:
        super().__init__(message)
        self.has_failed = has_failed


def ship(functions: Any, shipper: str, data: LogData) -> None:
    """Invoke the function with one line. Raises NotShippedError.

    `functions` is boto3's client of Lambda, `shipper` the function's ARN.
    """
    answer = functions.invoke(
        FunctionName=shipper,
        InvocationType="RequestResponse",
        Payload=json.dumps(invocation_event(data)).encode(),
    )
    payload = json.loads(answer["Payload"].read() or b"null")
    report: dict[str, Any] = payload if isinstance(payload, dict) else {}
    if "FunctionError" in answer:
        message = f"the function fails: {report.get('errorMessage', '')}"
        raise NotShippedError(message, has_failed=True)
    if report.get("delivered") != 1:
        reasons = [
            reason
            for outcome in ("rejected", "errored", "deferred", "dropped")
            for reason in report.get(outcome) or ()
        ]
        why = ", ".join(reasons) or "it returned no report"
        raise NotShippedError(f"the function did not deliver a line: {why}", has_failed=False)


def find_stream(
    probe: LokiProbe, query: str, start_ns: int, end_ns: int
) -> dict[str, str] | Reply | NoAnswer | None:
    """Query Loki until it has a line, for about ten seconds, and return the line's labels.

    Returns the reply if its status is not 200, and None if Loki does not return the line.
    """
    parameters = {"query": query, "start": str(start_ns), "end": str(end_ns)}
    for seconds in _WAITS:
        probe.sleep(seconds)
        reply = probe.get("/loki/api/v1/query_range", parameters)
        if isinstance(reply, NoAnswer) or reply.status != HTTPStatus.OK:
            return reply
        for stream in _streams(reply.body):
            return {str(name): str(value) for name, value in stream["stream"].items()}
    return None


def _streams(body: str) -> list[Any]:
    try:
        found: list[Any] = json.loads(body)["data"]["result"]
    except (ValueError, KeyError, TypeError):
        return []
    return found
