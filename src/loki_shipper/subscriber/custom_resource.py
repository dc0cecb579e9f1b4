"""Follows the stack's custom resource: what CloudFormation asks, and the answer it waits for."""

import json
from collections.abc import Callable
from typing import Any, assert_never

from loki_shipper.subscriber.request import StackChanged
from loki_shipper.subscriber.tally import Report

type Send = Callable[[str, bytes], None]
"""Puts a body to a URL."""

_ID = "loki-shipper-links"
_LONGEST_REASON = 1000


def custom_resource(stack: StackChanged, run: Callable[[], Report], send: Send) -> Report:
    """Run and answer, whatever becomes of it: without an answer a stack hangs for an hour.

    What the run raises is answered, then raised on.
    """
    try:
        report = run()
    except BaseException as error:
        send(stack.url, _answer(stack.event, f"{type(error).__name__}: {error}"))
        raise
    send(stack.url, _answer(stack.event, _failure(stack, report)))
    return report


def _failure(stack: StackChanged, report: Report) -> str | None:
    """Say why CloudFormation's request has failed; None where it has not."""
    match stack.kind:
        case "Create" | "Update":
            return _not_linked(report)
        case "Delete":
            return _not_unlinked(report)
        case _:
            assert_never(stack.kind)


def _not_linked(report: Report) -> str | None:
    """Say why log groups are not linked.

    Single ones that could not be linked stop no deployment; an account policy is all of them.
    """
    if report.policy_failure is None:
        return None
    return (
        f"the account policy is not in force ({report.policy_failure}), so nothing was unlinked: "
        "put that right, or set LinkMode to groups, and deploy again"
    )


def _not_unlinked(report: Report) -> str | None:
    """Say which filters are left: CloudWatch Logs skips lines for what it cannot deliver.

    The next try goes on from here.
    """
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
