"""From what the subscriber is invoked with to what is asked of it."""

import json
from typing import Any, Literal

from msgspec import Struct

from loki_shipper.aws.arn import log_group_name
from loki_shipper.subscriber.model import Turn


class RequestError(Exception):
    """Raised when an event is none of those that the subscriber knows."""


class Sweep(Struct, frozen=True):
    """Look at every log group."""


class GroupsChanged(Struct, frozen=True):
    """Look at these log groups: made, deleted, or tagged anew."""

    names: tuple[str, ...]


class StackChanged(Struct, frozen=True):
    """Follow the stack, and answer CloudFormation at `url` with the event's own ids.

    `began` and `resume` are of a deletion that goes on: when it began, in ms since 1970, and where
    the invocation before it has ended.
    """

    kind: Literal["Create", "Update", "Delete"]
    url: str
    event: dict[str, Any]
    began: int | None = None
    resume: Turn | None = None


class Ignored(Struct, frozen=True):
    """Do nothing: it concerns no log group, or the call that it tells of failed."""


type SubscriberRequest = Sweep | GroupsChanged | StackChanged | Ignored

_BEGAN, _RESUME = "LokiShipperBegan", "LokiShipperResume"
_BY_NAME = {"CreateLogGroup", "DeleteLogGroup", "TagLogGroup", "UntagLogGroup"}
_BY_ARN = {"TagResource", "UntagResource"}


def request(event: Any) -> SubscriberRequest:
    """Read an event of EventBridge, CloudFormation, or a caller. Raises RequestError.

    A caller sends `{"action": "sweep"}` or `{"action": "look", "groups": [name, …]}`.
    """
    match event:
        case {"RequestType": "Create" | "Update" | "Delete" as kind, "ResponseURL": str(url)}:
            return StackChanged(kind, url, event, *_progress(event))
        case {"source": "aws.events", "detail-type": "Scheduled Event"} | {"action": "sweep"}:
            return Sweep()
        case {"action": "look", "groups": [*names]} if all(isinstance(n, str) for n in names):
            return GroupsChanged(tuple(names))
        case {"source": "aws.logs", "detail": {"eventName": str(name)} as detail}:
            return _called(name, detail)
        case _:
            raise RequestError("the event is no schedule, log group event, stack event or request")


def goes_on(event: dict[str, Any], began: int, resume: Turn | None) -> dict[str, Any]:
    """Give the event with which another invocation goes on with a deletion."""
    return {**event, _BEGAN: began, _RESUME: resume}


def _progress(event: dict[str, Any]) -> tuple[int | None, Turn | None]:
    """Read what `goes_on` wrote."""
    resume: list[Any] | None = event.get(_RESUME)
    return event.get(_BEGAN), None if resume is None else (resume[0], resume[1])


def changes(records: list[dict[str, Any]]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Read messages of the queue: the log groups by the message's id, and messages of nothing."""
    named: dict[str, tuple[str, ...]] = {}
    unreadable = []
    for record in records:
        try:
            asked = request(json.loads(record["body"]))
        except (ValueError, RequestError):
            asked = None
        match asked:
            case GroupsChanged(names=names):
                named[record["messageId"]] = names
            case Ignored():
                pass
            case _:
                unreadable.append(record["messageId"])
    return named, unreadable


def _called(name: str, detail: dict[str, Any]) -> SubscriberRequest:
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
