"""The Lambda handler of the subscriber.

At the top it imports only the standard library. All other imports are inside a `try`: a layer for
another processor fails at its first import, and CloudFormation, which waits an hour for an answer,
must get one all the same.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from loki_shipper.subscriber.stack.answer import (
    LINKS,
    NOTHING_LINKED,
    StackResult,
    body,
    may_fail,
    send,
    stack_status,
)

if TYPE_CHECKING:
    from loki_shipper.context import Context


_CANNOT_UNLINK = (
    "the function cannot unlink log groups: deploy a version that works and delete the stack "
    "again, or run `loki-shipper deploy --delete`, which does not need the function"
)


def handle(event: Any, context: Context) -> dict[str, Any]:
    """Link all log groups, those that events name, or those of a stack that changes.

    Returns the run's report, which is empty if there was nothing to do, or the failed messages of
    the queue. For an event of CloudFormation it always answers and never raises, as Lambda would
    repeat an event that CloudFormation has given up. Otherwise it raises SettingsError,
    RequestError, AwsError or ConflictError; Lambda retries, and the next sweep comes within the
    hour.
    """
    match event:
        case {"RequestType": "Create" | "Update" | "Delete", "ResponseURL": str()}:
            return _handle_stack(event, context)
        case {"Records": [*records]}:
            return _handle_messages(records, context)
        case _:
            from loki_shipper.subscriber.invocation import run

            return run(event, context)


def _handle_messages(records: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    """Handle messages of the queue: changes of log groups, or a deletion to continue."""
    deletions = [deletion for each in records if (deletion := _deletion(each["body"])) is not None]
    if not deletions:
        from loki_shipper.subscriber.invocation import link_queued

        return link_queued(records, context)
    for deletion in deletions:
        _handle_stack(deletion, context)
    # The stack is being deleted, so changes of log groups do not matter any more.
    return {"batchItemFailures": []}


def _deletion(message: str) -> dict[str, Any] | None:
    """Read a message as a Delete event of CloudFormation; None if it is another message."""
    with suppress(ValueError):
        match json.loads(message):
            case {"RequestType": "Delete", "ResponseURL": str()} as event:
                return dict(event)
    return None


def _handle_stack(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Link or unlink for an event of CloudFormation, and answer it."""
    physical_id, result = _run_for_stack(event, context)
    if result.is_done:
        failure = result.failure
        if failure is not None and not may_fail(event, stack_status):
            failure = None
        send(event["ResponseURL"], body(event, failure, physical_id))
    return result.report


def _run_for_stack(event: dict[str, Any], context: Context) -> tuple[str, StackResult]:
    """Give the id of the custom resource, and the result."""
    if event["RequestType"] == "Delete" and event.get("PhysicalResourceId") == NOTHING_LINKED:
        return NOTHING_LINKED, StackResult(None, {})
    physical_id = NOTHING_LINKED
    try:
        from loki_shipper.subscriber.invocation import stack_run

        run = stack_run(event, context)
        physical_id = LINKS
        return physical_id, run()
    except BaseException as error:
        logging.getLogger("subscriber").exception("not linked")
        failure = f"{type(error).__name__}: {error}"
        if event["RequestType"] == "Delete" and physical_id == NOTHING_LINKED:
            failure = f"{_CANNOT_UNLINK} ({failure})"
        return physical_id, StackResult(failure, {})
