"""From a request to a run, and its report."""

from collections.abc import Iterable
from typing import assert_never

from loki_shipper.subscriber.first_lines import ship_first_lines
from loki_shipper.subscriber.index import index, index_fresh
from loki_shipper.subscriber.memory import Lesson
from loki_shipper.subscriber.observe import Distrust, always, hourly, never
from loki_shipper.subscriber.pace import AwsError
from loki_shipper.subscriber.reconcile import reconcile, rules
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.store import ConflictError
from loki_shipper.subscriber.surroundings import Surroundings, read_memory, remember
from loki_shipper.subscriber.survey import Survey, survey
from loki_shipper.subscriber.tally import Report, Tally
from loki_shipper.subscriber.unlink import unlink_before_deletion


class DeletedError(Exception):
    """Raised when log groups are to be linked for a stack that is being deleted."""


def respond(asked: Sweep | GroupsChanged | StackChanged, around: Surroundings) -> Report:
    """Do what is asked, as far as time allows. Raises AwsError, ConflictError, DeletedError."""
    match asked:
        case Sweep():
            tally = _run(around, hourly(around.clock.now()))
        case GroupsChanged(names=names):
            tally = _run(around, always, names)
        case StackChanged(kind="Delete", resume=resume):
            return unlink_before_deletion(around, resume)
        case StackChanged():
            _start_again(asked, around)
            # First lines are left to the next sweep: CloudFormation waits for an answer.
            return _run(around, never).report()
        case _:
            assert_never(asked)
    ship_first_lines(tally, around)
    return tally.report()


def follow_changes(names: Iterable[str], around: Surroundings) -> tuple[Report, frozenset[str]]:
    """Look at log groups that were made, deleted or tagged anew, many at a time.

    They are written into the index, linked, and written into the memory, once for all of them. An
    index that cannot be written keeps none of them unlinked: it is written again afterwards.
    Returns the names that are to be looked at again, as time was up or AWS was busy. Raises
    AwsError, ConflictError.
    """
    memory = read_memory(around)
    # Where everything is unlinked, the stack is being deleted most likely: its time is short.
    found = survey(around.aws, around.clock.now(), () if memory.stopped else names)
    has_index = around.settings.bucket is not None
    is_indexed = has_index and _is_indexed(found, around)
    tally = reconcile(found, rules(around.settings, memory), memory, never, around)
    if has_index and (tally.fresh_tags or not is_indexed):
        index(found, tally.fresh_tags, around.settings, around.aws)
    ship_first_lines(tally, around)
    return tally.report(), tally.unfinished


def _is_indexed(found: Survey, around: Surroundings) -> bool:
    """Write tags into the index; tell whether that worked."""
    try:
        index(found, {}, around.settings, around.aws)
    except (AwsError, ConflictError):
        return False
    return True


def _start_again(stack: StackChanged, around: Surroundings) -> None:
    """Let a deployment link again what was unlinked by hand; but not for a stack that goes.

    The event may be a repeated one that CloudFormation has given up. The stack's status is read
    after the order to unlink was taken back: a deletion that begins later gives it again.
    """
    remember(Lesson(stopped=False), around)
    status = around.stack_status() or ""
    # While an update is rolled back, what it has created is deleted.
    over = ("DELETE", "ROLLBACK", *(["UPDATE_ROLLBACK"] if stack.kind == "Create" else []))
    if status.startswith(over):
        remember(Lesson(stopped=True), around)
        raise DeletedError(f"the stack is in {status}: nothing is linked for it any more")


def _run(around: Surroundings, distrust: Distrust, names: Iterable[str] | None = None) -> Tally:
    began = around.clock.now()
    memory = read_memory(around)
    found = survey(around.aws, began, names)
    origin, has_index = around.settings.origin, around.settings.bucket is not None
    if has_index:
        # Before anything is linked, so that the shipper knows the tags: a first run takes minutes.
        index(found, {}, around.settings, around.aws)
    tally = reconcile(found, rules(around.settings, memory), memory, distrust, around)
    if has_index and tally.fresh_tags:
        index_fresh(tally.fresh_tags, origin, around.aws)
    return tally
