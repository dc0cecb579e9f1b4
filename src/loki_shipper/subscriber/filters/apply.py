"""From an action to what became of it; one log group's error is one log group's error."""

from collections.abc import Callable
from typing import Literal, assert_never

from msgspec import Struct

from loki_shipper.aws.errors import AwsError, error_kind
from loki_shipper.subscriber.filters.plan import DeleteFilter, FilterAction, PutFilter, SkipGroup
from loki_shipper.subscriber.model import Reason


class Done(Struct, frozen=True, tag_field="outcome", tag="done"):
    """AWS did it."""

    action: PutFilter | DeleteFilter

    @property
    def group(self) -> str:
        """The log group's name."""
        return self.action.group


class Skipped(Struct, frozen=True, tag_field="outcome", tag="skipped"):
    """Nothing was done, for a reason that is nobody's error."""

    skip: SkipGroup

    @property
    def group(self) -> str:
        """The log group's name."""
        return self.skip.group


type FailedStep = Literal["look", "link", "unlink", "first_lines"]
"""What a run does for a log group: reads its filters, changes ours, ships its first lines."""


class Failed(Struct, frozen=True, tag_field="outcome", tag="failed"):
    """A step could not be done; `why` is AWS's name for it, with its message for a person."""

    group: str
    why: str
    detail: str = ""
    step: FailedStep = "link"

    @property
    def is_temporary(self) -> bool:
        """Tell whether AWS was asked too much of, so that a later run may succeed by itself."""
        return error_kind(self.why) in {"throttled", "busy"}


type ActionOutcome = Done | Skipped | Failed


class FilterWriter(Struct, frozen=True):
    """How filters are put (log group, pattern) and deleted. Both raise AwsError."""

    put: Callable[[str, str], None]
    delete: Callable[[str], None]


def apply(action: FilterAction, writer: FilterWriter) -> ActionOutcome:
    """Do what the plan says.

    Raises AwsError where no action could be done: credentials expired, or AWS out of reach.
    """
    try:
        return _applied(action, writer)
    except AwsError as error:
        return understood(action, error)


def _applied(action: FilterAction, writer: FilterWriter) -> ActionOutcome:
    match action:
        case PutFilter(group=group, pattern=pattern):
            writer.put(group, pattern)
            return Done(action)
        case DeleteFilter(group=group):
            writer.delete(group)
            return Done(action)
        case SkipGroup(group=group, reason=Reason.UNREADABLE, detail=why):
            return Failed(group, why, Reason.UNREADABLE.words, "look")
        case SkipGroup():
            return Skipped(action)
        case _:
            assert_never(action)


def understood(action: FilterAction, error: AwsError) -> ActionOutcome:
    """Say what an error means for an action. Raises it where no action could be done."""
    match error.kind, action:
        case (("expired" | "unreachable"), _):
            raise error
        case "gone", DeleteFilter():
            # The filter or its log group: either way it is no more.
            return Done(action)
        case "gone", _:
            return Skipped(SkipGroup(action.group, Reason.GONE))
        case "full", _:
            return Skipped(SkipGroup(action.group, Reason.FULL))
        case _:
            return Failed(action.group, error.code, str(error), _step(action))


def _step(action: FilterAction) -> FailedStep:
    match action:
        case PutFilter():
            return "link"
        case DeleteFilter():
            return "unlink"
        case SkipGroup():
            return "look"
        case _:
            assert_never(action)
