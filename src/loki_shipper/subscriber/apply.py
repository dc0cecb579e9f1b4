"""From an action to what became of it; one log group's error is one log group's error."""

from collections.abc import Callable
from typing import Literal, assert_never

from msgspec import Struct

from loki_shipper.subscriber.model import Reason
from loki_shipper.subscriber.pace import KINDS, AwsError
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


type Step = Literal["look", "link", "unlink", "first_lines"]
"""What a run does for a log group: reads its filters, changes ours, ships its first lines."""


class Failed(Struct, frozen=True, tag_field="outcome", tag="failed"):
    """A step could not be done; `why` is AWS's name for it, with its message for a person."""

    group: str
    why: str
    detail: str = ""
    step: Step = "link"

    @property
    def is_temporary(self) -> bool:
        """Tell whether AWS was asked too much of, so that a later run may succeed by itself."""
        return KINDS.get(self.why) in {"throttled", "busy"}


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
            return Failed(group, why, Reason.UNREADABLE.words, "look")
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
            return Failed(action.group, error.code, str(error), _step(action))


def _step(action: Action) -> Step:
    match action:
        case Put():
            return "link"
        case Delete():
            return "unlink"
        case Skip():
            return "look"
        case _:
            assert_never(action)
