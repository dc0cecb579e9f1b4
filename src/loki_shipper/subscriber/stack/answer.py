"""Answers CloudFormation about the stack's custom resource.

It imports only the standard library, so that it can answer even if no other package loads.
"""

import json
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

LINKS = "loki-shipper-links"
"""Id of the custom resource. It never changes, as CloudFormation would delete the old one."""

NOTHING_LINKED = "loki-shipper-links-none"
"""Id of the custom resource if its Create failed before it put any filter."""

_LONGEST_REASON = 1000
_SECONDS = 10

type ReadStackStatus = Callable[[str], str | None]
"""Gives the status of a stack by its ARN; None if it cannot be read."""


class StackResult(NamedTuple):
    """The result of a run for CloudFormation; `failure` is None if the run succeeded.

    `is_done` is False if another invocation continues and answers.
    """

    failure: str | None
    report: dict[str, Any]
    is_done: bool = True


def may_fail(event: dict[str, Any], stack_status: ReadStackStatus) -> bool:
    """Tell whether CloudFormation may get FAILED as the answer.

    A failure during the rollback of an update would leave the stack in UPDATE_ROLLBACK_FAILED. If
    the status cannot be read, an Update counts as part of a rollback.
    """
    if event.get("RequestType") != "Update":
        return True
    status = stack_status(str(event.get("StackId")))
    return status is not None and not status.startswith("UPDATE_ROLLBACK")


def body(event: dict[str, Any], failure: str | None, physical_id: str = LINKS) -> bytes:
    """Give the body of the answer to an event; an id that CloudFormation has is kept."""
    answer = {
        **{key: event.get(key) for key in ("StackId", "RequestId", "LogicalResourceId")},
        "PhysicalResourceId": event.get("PhysicalResourceId", physical_id),
        "Status": "SUCCESS" if failure is None else "FAILED",
        "Reason": (failure or "done")[:_LONGEST_REASON],
    }
    return json.dumps(answer).encode()


def send(url: str, content: bytes) -> None:
    """Put an answer to the URL that CloudFormation gave. Raises OSError."""
    # CloudFormation signs the URL for an empty content type.
    request = urllib.request.Request(  # noqa: S310 - the URL is CloudFormation's own
        url, data=content, method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310 - likewise
        pass


def stack_status(stack_id: str) -> str | None:
    """Give a stack's status from CloudFormation; None if it cannot be read."""
    try:
        import boto3

        cloudformation = boto3.client("cloudformation")
        [stack] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
    except Exception:  # noqa: BLE001 - even boto3 may fail to load
        return None
    return str(stack["StackStatus"])
