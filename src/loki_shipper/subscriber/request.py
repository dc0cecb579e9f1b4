"""From what the subscriber is invoked with to what is asked of it."""

from typing import Any, Literal

from msgspec import Struct


class RequestError(Exception):
    """Raised when an event is none of those that the subscriber knows."""


class Sweep(Struct, frozen=True):
    """Look at every log group."""


class GroupsChanged(Struct, frozen=True):
    """Look at these log groups: made, deleted, or tagged anew."""

    names: tuple[str, ...]


class StackChanged(Struct, frozen=True):
    """Follow the stack, and answer CloudFormation at `url` with the event's own ids."""

    kind: Literal["Create", "Update", "Delete"]
    url: str
    event: dict[str, Any]


class Ignored(Struct, frozen=True):
    """Do nothing: it concerns no log group, or the call that it tells of failed."""


type Request = Sweep | GroupsChanged | StackChanged | Ignored

_BY_NAME = {"CreateLogGroup", "DeleteLogGroup", "TagLogGroup", "UntagLogGroup"}
_BY_ARN = {"TagResource", "UntagResource"}


def request(event: Any) -> Request:
    """Read an event of EventBridge, CloudFormation, or a caller. Raises RequestError.

    A caller sends `{"action": "sweep"}` or `{"action": "look", "groups": [name, …]}`.
    """
    match event:
        case {"RequestType": "Create" | "Update" | "Delete" as kind, "ResponseURL": str(url)}:
            return StackChanged(kind, url, event)
        case {"source": "aws.events", "detail-type": "Scheduled Event"} | {"action": "sweep"}:
            return Sweep()
        case {"action": "look", "groups": [*names]} if all(isinstance(n, str) for n in names):
            return GroupsChanged(tuple(names))
        case {"source": "aws.logs", "detail": {"eventName": str(name)} as detail}:
            return _called(name, detail)
        case _:
            raise RequestError("the event is no schedule, log group event, stack event or request")


def _called(name: str, detail: dict[str, Any]) -> Request:
    match detail:
        case {"errorCode": str()}:
            return Ignored()
        case {"requestParameters": {"logGroupName": str(group)}} if name in _BY_NAME:
            return GroupsChanged((group,))
        case {"requestParameters": {"resourceArn": str(arn)}} if name in _BY_ARN:
            named = group_name(arn)
            return Ignored() if named is None else GroupsChanged((named,))
        case _:
            return Ignored()


def group_name(arn: str) -> str | None:
    """Take a log group's name out of its ARN, with or without `:*`; None for other ARNs."""
    match arn.split(":"):
        case ["arn", _, "logs", _, _, "log-group", name, *_]:
            return name
        case _:
            return None
