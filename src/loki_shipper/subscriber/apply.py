"""From an action to what became of it; one log group's error is one log group's error."""

from collections.abc import Callable
from typing import assert_never

from msgspec import Struct

from loki_shipper.subscriber.model import Reason
from loki_shipper.subscriber.pace import AwsError
from loki_shipper.subscriber.plan import Action, Delete, Put, Skip


class Done(Struct, frozen=True, tag_field="outcome", tag="done"):
    """AWS did it."""

    action: Put | Delete

    @property
    def group(self) -> str:
        """The log group's name."""
        return self.action.group


class Skipped(Struct, frozen=True, tag_field="outcome", tag="skipped"):
    """Nothing was done, for a reason that is nobody's error."""

    skip: Skip

    @property
    def group(self) -> str:
        """The log group's name."""
        return self.skip.group


class Failed(Struct, frozen=True, tag_field="outcome", tag="failed"):
    """It could not be done; `why` is AWS's name for it, with its message for a person."""

    group: str
    why: str
    detail: str = ""


type Outcome = Done | Skipped | Failed


class Hands(Struct, frozen=True):
    """How filters are put (log group, pattern) and deleted. Both raise AwsError."""

    put: Callable[[str, str], None]
    delete: Callable[[str], None]


def apply(action: Action, hands: Hands) -> Outcome:
    """Do what the plan says.

    Raises AwsError where no action could be done: credentials expired, or AWS out of reach.
    """
    try:
        return _applied(action, hands)
    except AwsError as error:
        return understood(action, error)


def _applied(action: Action, hands: Hands) -> Outcome:
    match action:
        case Put(group=group, pattern=pattern):
            hands.put(group, pattern)
            return Done(action)
        case Delete(group=group):
            hands.delete(group)
            return Done(action)
        case Skip(group=group, reason=Reason.UNREADABLE, detail=why):
            return Failed(group, why, Reason.UNREADABLE.words)
        case Skip():
            return Skipped(action)
        case _:
            assert_never(action)


def understood(action: Action, error: AwsError) -> Outcome:
    """Say what an error means for an action. Raises it where no action could be done."""
    match error.kind, action:
        case (("expired" | "unreachable"), _):
            raise error
        case "gone", Delete():
            # The filter or its log group: either way it is no more.
            return Done(action)
        case "gone", _:
            return Skipped(Skip(action.group, Reason.GONE))
        case "full", _:
            return Skipped(Skip(action.group, Reason.FULL))
        case _:
            return Failed(action.group, error.code, str(error))
