"""What CloudFormation hears of the stack's custom resource.

Only the standard library is imported here, so that an answer can be sent when nothing else works.
"""

import json
import urllib.request
from collections.abc import Callable
from typing import Any, NamedTuple

LINKS = "loki-shipper-links"
"""Id of the custom resource. Always the same: CloudFormation deletes the old one after a change."""

NOTHING_LINKED = "loki-shipper-links-none"
"""Id of a custom resource whose Create failed before it could put a filter."""

_LONGEST_REASON = 1000
_SECONDS = 10

type SendAnswer = Callable[[str, bytes], None]
"""Puts a body to a URL."""

type StackStatus = Callable[[str], str | None]
"""Gives the status of a stack, by its ARN; None where it cannot be found out."""


class Followed(NamedTuple):
    """What a run has done for CloudFormation; `failure` says why it has failed, if it has.

    `is_done` is False where another invocation goes on and answers.
    """

    failure: str | None
    report: dict[str, Any]
    is_done: bool = True


def may_fail(event: dict[str, Any], stack_status: StackStatus) -> bool:
    """Tell whether CloudFormation can cope with a failure.

    It cannot while it rolls an update back: the stack would be stuck. Where its status cannot be
    found out, an Update is taken for a part of a rollback.
    """
    if event.get("RequestType") != "Update":
        return True
    status = stack_status(str(event.get("StackId")))
    return status is not None and not status.startswith("UPDATE_ROLLBACK")


def body(event: dict[str, Any], failure: str | None, physical_id: str = LINKS) -> bytes:
    """Write the answer to an event; an id that CloudFormation knows stays as it is."""
    answer = {
        **{key: event.get(key) for key in ("StackId", "RequestId", "LogicalResourceId")},
        "PhysicalResourceId": event.get("PhysicalResourceId", physical_id),
        "Status": "SUCCESS" if failure is None else "FAILED",
        "Reason": (failure or "done")[:_LONGEST_REASON],
    }
    return json.dumps(answer).encode()


def send(url: str, content: bytes) -> None:
    """Put an answer where CloudFormation waits for it. Raises OSError."""
    # CloudFormation signs the URL for an empty content type.
    asked = urllib.request.Request(  # noqa: S310 - the URL is CloudFormation's own
        url, data=content, method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(asked, timeout=_SECONDS):  # noqa: S310 - likewise
        pass


def stack_status(stack_id: str) -> str | None:
    """Ask CloudFormation for a stack's status; None where it does not say."""
    try:
        import boto3

        cloudformation = boto3.client("cloudformation")
        [stack] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
    except Exception:  # noqa: BLE001 - boto3 itself may be what cannot be loaded
        return None
    return str(stack["StackStatus"])
