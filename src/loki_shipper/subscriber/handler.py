"""The entry of the function that links log groups.

It imports only the standard library until it has caught every failure of the rest. Otherwise a
layer for another processor would fail before anything could answer CloudFormation, which waits an
hour for an answer.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from loki_shipper.subscriber.stack.answer import (
    LINKS,
    NOTHING_LINKED,
    Followed,
    body,
    may_fail,
    send,
    stack_status,
)

if TYPE_CHECKING:
    from loki_shipper.context import Context


_WITHOUT_IT = (
    "the function cannot unlink log groups: deploy a version that works and delete the stack "
    "again, or run `loki-shipper deploy --delete`, which does without the function"
)


def handle(event: Any, context: Context) -> dict[str, Any]:
    """Link log groups: all of them, those that events name, or as the stack is changed.

    Returns the run's report, empty where there was nothing to do, or which messages of the queue
    are to come again. CloudFormation gets an answer whatever happens, and then nothing is raised,
    as Lambda would repeat what CloudFormation has given up. Raises otherwise SettingsError,
    RequestError, AwsError or ConflictError; Lambda then tries again, and the next sweep comes
    within the hour.
    """
    match event:
        case {"RequestType": "Create" | "Update" | "Delete", "ResponseURL": str()}:
            return _follow(event, context)
        case {"Records": [*records]}:
            return _take(records, context)
        case _:
            from loki_shipper.subscriber.invocation import run

            return run(event, context)


def _take(records: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    """Take messages from the queue: changes of log groups, or a deletion that goes on."""
    deletions = [deletion for each in records if (deletion := _deletion(each["body"])) is not None]
    if not deletions:
        from loki_shipper.subscriber.invocation import follow_queue

        return follow_queue(records, context)
    for deletion in deletions:
        _follow(deletion, context)
    # Changes of log groups concern a stack no more that is being deleted.
    return {"batchItemFailures": []}


def _deletion(message: str) -> dict[str, Any] | None:
    """Read a message as CloudFormation's request to delete; None where it is another one."""
    with suppress(ValueError):
        match json.loads(message):
            case {"RequestType": "Delete", "ResponseURL": str()} as event:
                return dict(event)
    return None


def _follow(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Follow the stack, and answer."""
    physical_id, followed = _followed(event, context)
    if followed.is_done:
        failure = followed.failure
        if failure is not None and not may_fail(event, stack_status):
            failure = None
        send(event["ResponseURL"], body(event, failure, physical_id))
    return followed.report


def _followed(event: dict[str, Any], context: Context) -> tuple[str, Followed]:
    """Give the id of the custom resource, and what was done for it."""
    if event["RequestType"] == "Delete" and event.get("PhysicalResourceId") == NOTHING_LINKED:
        return NOTHING_LINKED, Followed(None, {})
    physical_id = NOTHING_LINKED
    try:
        from loki_shipper.subscriber.invocation import follow_stack

        run = follow_stack(event, context)
        physical_id = LINKS
        return physical_id, run()
    except BaseException as error:
        logging.getLogger("subscriber").exception("not linked")
        failure = f"{type(error).__name__}: {error}"
        if event["RequestType"] == "Delete" and physical_id == NOTHING_LINKED:
            failure = f"{_WITHOUT_IT} ({failure})"
        return physical_id, Followed(failure, {})
