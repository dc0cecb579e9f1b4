"""Reads the events that invoke the subscriber as requests."""

import json
from typing import Any, Literal

from msgspec import Struct

from loki_shipper.aws.arn import log_group_name
from loki_shipper.subscriber.model import Turn


class RequestError(Exception):
    """Raised for an event of a kind that the subscriber does not know."""


class Sweep(Struct, frozen=True):
    """Look at every log group."""


class GroupsChanged(Struct, frozen=True):
    """Look at these log groups, which were created, deleted or tagged."""

    names: tuple[str, ...]


class StackChanged(Struct, frozen=True):
    """Link or unlink as the stack changes, and answer CloudFormation at `url`.

    `began` and `resume` belong to a deletion that an earlier invocation began: the time when it
    began, in ms since 1970, and the log group at which the earlier invocation ended.
    """

    kind: Literal["Create", "Update", "Delete"]
    url: str
    event: dict[str, Any]
    began: int | None = None
    resume: Turn | None = None


class AuditDue(Struct, frozen=True):
    """Audit the deliveries of the stack."""


class Ignored(Struct, frozen=True):
    """Do nothing: the event concerns no log group, or reports an API call that failed."""


type SubscriberRequest = Sweep | GroupsChanged | StackChanged | AuditDue | Ignored

_BEGAN, _RESUME = "LokiShipperBegan", "LokiShipperResume"
_BY_NAME = {"CreateLogGroup", "DeleteLogGroup", "TagLogGroup", "UntagLogGroup"}
_BY_ARN = {"TagResource", "UntagResource"}


def request(event: Any) -> SubscriberRequest:
    """Read an event from EventBridge, CloudFormation, or a caller. Raises RequestError.

    A caller sends `{"action": "sweep"}` or `{"action": "look", "groups": [name, …]}`, and the daily
    schedule `{"action": "audit"}`.
    """
    match event:
        case {"RequestType": "Create" | "Update" | "Delete" as kind, "ResponseURL": str(url)}:
            return StackChanged(kind, url, event, *_progress(event))
        case {"source": "aws.events", "detail-type": "Scheduled Event"} | {"action": "sweep"}:
            return Sweep()
        case {"action": "audit"}:
            return AuditDue()
        case {"action": "look", "groups": [*names]} if all(isinstance(n, str) for n in names):
            return GroupsChanged(tuple(names))
        case {"source": "aws.logs", "detail": {"eventName": str(name)} as detail}:
            return _reported(name, detail)
        case _:
            raise RequestError("the event is no schedule, log group event, stack event or request")


def continued(event: dict[str, Any], began: int, resume: Turn | None) -> dict[str, Any]:
    """Give the event that makes another invocation continue a deletion."""
    return {**event, _BEGAN: began, _RESUME: resume}


def _progress(event: dict[str, Any]) -> tuple[int | None, Turn | None]:
    """Read the two fields that `continued` added."""
    resume: list[Any] | None = event.get(_RESUME)
    return event.get(_BEGAN), None if resume is None else (resume[0], resume[1])


def changed_groups(
    records: list[dict[str, Any]],
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Read messages of the queue.

    Returns the names of log groups by message id, and the ids of messages that cannot be read.
    """
    named: dict[str, tuple[str, ...]] = {}
    unreadable = []
    for record in records:
        try:
            change = request(json.loads(record["body"]))
        except (ValueError, RequestError):
            change = None
        match change:
            case GroupsChanged(names=names):
                named[record["messageId"]] = names
            case Ignored():
                pass
            case _:
                unreadable.append(record["messageId"])
    return named, unreadable


def _reported(name: str, detail: dict[str, Any]) -> SubscriberRequest:
    match detail:
        case {"errorCode": str()}:
            return Ignored()
        case {"requestParameters": {"logGroupName": str(group)}} if name in _BY_NAME:
            return GroupsChanged((group,))
        case {"requestParameters": {"resourceArn": str(arn)}} if name in _BY_ARN:
            named = log_group_name(arn)
            return Ignored() if named is None else GroupsChanged((named,))
        case _:
            return Ignored()
