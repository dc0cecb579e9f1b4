"""Follows the stack's custom resource: what CloudFormation asks, and the answer it waits for."""

import json
from collections.abc import Callable
from typing import Any

from loki_shipper.subscriber.request import StackChanged
from loki_shipper.subscriber.tally import Report

type Send = Callable[[str, bytes], None]
"""Puts a body to a URL."""

_ID = "loki-shipper-links"
_LONGEST_REASON = 1000


def custom_resource(stack: StackChanged, run: Callable[[], Report], send: Send) -> Report:
    """Run and answer, whatever becomes of it: without an answer a stack hangs for an hour.

    What the run raises is answered, then raised on. A stack is made or updated also where single
    log groups could not be linked, but not deleted while a filter is left: CloudWatch Logs skips
    lines for what it cannot deliver, and the next try goes on from here.
    """
    try:
        report = run()
    except BaseException as error:
        send(stack.url, _answer(stack.event, f"{type(error).__name__}: {error}"))
        raise
    send(stack.url, _answer(stack.event, _obstacle(report) if stack.kind == "Delete" else None))
    return report


def _obstacle(report: Report) -> str | None:
    if report.failed:
        first = report.failed[0]
        return (
            f"{len(report.failed)} log groups could not be unlinked, such as {first.group} "
            f"({first.why}): put that right and delete the stack again"
        )
    if report.left:
        return f"time was up with {report.left} log groups left: delete the stack again to go on"
    return None


def _answer(event: dict[str, Any], failure: str | None) -> bytes:
    answer = {
        **{key: event.get(key) for key in ("StackId", "RequestId", "LogicalResourceId")},
        # Always the same: CloudFormation deletes the old one where an update gives a new id.
        "PhysicalResourceId": event.get("PhysicalResourceId", _ID),
        "Status": "SUCCESS" if failure is None else "FAILED",
        "Reason": (failure or "done")[:_LONGEST_REASON],
    }
    return json.dumps(answer).encode()
