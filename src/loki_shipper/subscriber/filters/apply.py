"""Carries out an action and gives its outcome; an error concerns one log group only."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, assert_never

from msgspec import Struct

from loki_shipper.aws.errors import AwsError, error_kind
from loki_shipper.subscriber.filters.plan import DeleteFilter, FilterAction, PutFilter, SkipGroup
from loki_shipper.subscriber.model import Reason


class Done(Struct, frozen=True, tag_field="outcome", tag="done"):
    """AWS carried out the action."""

    action: PutFilter | DeleteFilter

    @property
    def group(self) -> str:
        """The log group's name."""
        return self.action.group


class Skipped(Struct, frozen=True, tag_field="outcome", tag="skipped"):
    """Nothing was done, and that is no error."""

    skip: SkipGroup

    @property
    def group(self) -> str:
        """The log group's name."""
        return self.skip.group


type FailedStep = Literal["look", "link", "unlink", "first_lines"]
"""A step of a run: it reads filters, puts or deletes ours, or ships first lines."""


class Failed(Struct, frozen=True, tag_field="outcome", tag="failed"):
    """A step failed; `why` is AWS's error code, `detail` its message."""

    group: str
    why: str
    detail: str = ""
    step: FailedStep = "link"

    @property
    def is_temporary(self) -> bool:
        """Tell whether AWS was too busy, so that a later run may succeed."""
        return error_kind(self.why) in {"throttled", "busy"}


type ActionOutcome = Done | Skipped | Failed


def settled_actions(outcomes: Iterable[ActionOutcome]) -> Iterator[FilterAction]:
    """Give the actions that were carried out or skipped, without those that failed."""
    for outcome in outcomes:
        match outcome:
            case Done(action=action):
                yield action
            case Skipped(skip=skip):
                yield skip
            case Failed():
                pass
            case _:
                assert_never(outcome)


class FilterWriter(Struct, frozen=True):
    """Puts a filter, and deletes that of a log group. Both raise AwsError."""

    put: Callable[[PutFilter], None]
    delete: Callable[[str], None]


def apply(action: FilterAction, writer: FilterWriter) -> ActionOutcome:
    """Carry out a planned action.

    Raises AwsError if no action could succeed: the credentials expired, or AWS is unreachable.
    """
    try:
        return _applied(action, writer)
    except AwsError as error:
        return outcome_of_error(action, error)


def _applied(action: FilterAction, writer: FilterWriter) -> ActionOutcome:
    match action:
        case PutFilter():
            writer.put(action)
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


def outcome_of_error(action: FilterAction, error: AwsError) -> ActionOutcome:
    """Give the outcome of an action that raised this error.

    Raises the error if no action could succeed.
    """
    match error.kind, action:
        case (("expired" | "unreachable"), _):
            raise error
        case "gone", DeleteFilter():
            # The filter or its log group is gone, so the filter is deleted either way.
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
