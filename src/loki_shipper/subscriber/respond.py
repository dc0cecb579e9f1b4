"""From a request to a run, and its report."""

from collections.abc import Iterable
from typing import assert_never

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.filters.observe import RecheckPolicy, always, hourly, never
from loki_shipper.subscriber.first_lines.ship_due import ship_first_lines
from loki_shipper.subscriber.groups.index_tags import index, index_fresh
from loki_shipper.subscriber.groups.inventory import Inventory, take_inventory
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, read_memory, remember
from loki_shipper.subscriber.run.reconcile import reconcile, selection
from loki_shipper.subscriber.run.run_state import RunReport, RunState
from loki_shipper.subscriber.run.unlink import unlink_before_deletion
from loki_shipper.subscriber.store import ConflictError


class DeletedError(Exception):
    """Raised when log groups are to be linked for a stack that is being deleted."""


def respond(asked: Sweep | GroupsChanged | StackChanged, deps: SubscriberDependencies) -> RunReport:
    """Do what is asked, as far as time allows. Raises AwsError, ConflictError, DeletedError."""
    match asked:
        case Sweep():
            state = _run(deps, hourly(deps.clock.now()))
        case GroupsChanged(names=names):
            state = _run(deps, always, names)
        case StackChanged(kind="Delete", resume=resume):
            return unlink_before_deletion(deps, resume)
        case StackChanged():
            _start_again(asked, deps)
            # First lines are left to the next sweep: CloudFormation waits for an answer.
            return _run(deps, never).report()
        case _:
            assert_never(asked)
    ship_first_lines(state, deps)
    return state.report()


def follow_changes(
    names: Iterable[str], deps: SubscriberDependencies
) -> tuple[RunReport, frozenset[str]]:
    """Look at log groups that were made, deleted or tagged anew, many at a time.

    They are written into the index, linked, and written into the memory, once for all of them. An
    index that cannot be written keeps none of them unlinked: it is written again afterwards.
    Returns the names that are to be looked at again, as time was up or AWS was busy. Raises
    AwsError, ConflictError.
    """
    memory = read_memory(deps)
    # Where everything is unlinked, the stack is being deleted most likely: its time is short.
    found = take_inventory(deps.aws, deps.clock.now(), () if memory.stopped else names)
    has_index = deps.settings.bucket is not None
    is_indexed = has_index and _is_indexed(found, deps)
    state = reconcile(found, selection(deps.settings, memory), memory, never, deps)
    if has_index and (state.fresh_tags or not is_indexed):
        index(found, state.fresh_tags, deps.settings, deps.aws)
    ship_first_lines(state, deps)
    return state.report(), state.unfinished


def _is_indexed(found: Inventory, deps: SubscriberDependencies) -> bool:
    """Write tags into the index; tell whether that worked."""
    try:
        index(found, {}, deps.settings, deps.aws)
    except (AwsError, ConflictError):
        return False
    return True


def _start_again(stack: StackChanged, deps: SubscriberDependencies) -> None:
    """Let a deployment link again what was unlinked by hand; but not for a stack that goes.

    The event may be a repeated one that CloudFormation has given up. The stack's status is read
    after the order to unlink was taken back: a deletion that begins later gives it again.
    """
    remember(MemoryUpdate(stopped=False), deps)
    status = deps.stack_status() or ""
    # While an update is rolled back, what it has created is deleted.
    over = ("DELETE", "ROLLBACK", *(["UPDATE_ROLLBACK"] if stack.kind == "Create" else []))
    if status.startswith(over):
        remember(MemoryUpdate(stopped=True), deps)
        raise DeletedError(f"the stack is in {status}: nothing is linked for it any more")


def _run(
    deps: SubscriberDependencies, recheck: RecheckPolicy, names: Iterable[str] | None = None
) -> RunState:
    began = deps.clock.now()
    memory = read_memory(deps)
    found = take_inventory(deps.aws, began, names)
    origin, has_index = deps.settings.origin, deps.settings.bucket is not None
    if has_index:
        # Before anything is linked, so that the shipper knows the tags: a first run takes minutes.
        index(found, {}, deps.settings, deps.aws)
    state = reconcile(found, selection(deps.settings, memory), memory, recheck, deps)
    if has_index and state.fresh_tags:
        index_fresh(state.fresh_tags, origin, deps.aws)
    return state
