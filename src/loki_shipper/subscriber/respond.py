"""Carries out a request: reads log groups, indexes their tags, links them, ships first lines."""

from collections.abc import Iterable
from typing import assert_never

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.filters.observe import RecheckPolicy, always, hourly, never
from loki_shipper.subscriber.first_lines.ship_due import ship_first_lines
from loki_shipper.subscriber.groups.index_tags import index_fresh_tags, index_tags
from loki_shipper.subscriber.groups.inventory import Inventory, take_inventory
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, read_memory, remember
from loki_shipper.subscriber.run.reconcile import current_selection, reconcile
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.run.run_state import RunState
from loki_shipper.subscriber.run.unlink import unlink_before_deletion
from loki_shipper.subscriber.store import ConflictError


class DeletedError(Exception):
    """Raised for a request to link log groups for a stack that is being deleted."""


def respond(
    request: Sweep | GroupsChanged | StackChanged, deps: SubscriberDependencies
) -> RunReport:
    """Carry out a request as far as time allows. Raises AwsError, ConflictError, DeletedError."""
    match request:
        case Sweep():
            state = _run(deps, hourly(deps.clock.now()))
        case GroupsChanged(names=names):
            state = _run(deps, always, names)
        case StackChanged(kind="Delete", resume=resume):
            return unlink_before_deletion(deps, resume)
        case StackChanged():
            _start_again(request, deps)
            # CloudFormation waits for an answer, so the next sweep ships the first lines.
            return _run(deps, never).report()
        case _:
            assert_never(request)
    ship_first_lines(state, deps)
    return state.report()


def link_changed_groups(
    names: Iterable[str], deps: SubscriberDependencies
) -> tuple[RunReport, frozenset[str]]:
    """Link log groups that were created, deleted or tagged, many at a time.

    The index and the memory are written once for all of them. If the index cannot be written, the
    log groups are linked all the same, and the index is written afterwards. Returns also the names
    to try again, because time was up or AWS was busy. Raises AwsError, ConflictError.
    """
    memory = read_memory(deps)
    # If everything is unlinked, the stack is probably being deleted, and its time is short.
    now = deps.clock.now()
    inventory = take_inventory(deps.aws, now, () if memory.stopped else names)
    has_index = deps.settings.bucket is not None
    is_indexed = has_index and _is_indexed(inventory, deps)
    selection = current_selection(deps.settings, memory)
    state = reconcile(inventory, selection, memory, never, deps)
    if has_index and (state.fresh_tags or not is_indexed):
        index_tags(inventory, state.fresh_tags, deps.settings, deps.aws)
    ship_first_lines(state, deps)
    return state.report(), state.unfinished


def _is_indexed(inventory: Inventory, deps: SubscriberDependencies) -> bool:
    """Write tags into the index; tell whether that succeeded."""
    try:
        index_tags(inventory, {}, deps.settings, deps.aws)
    except (AwsError, ConflictError):
        return False
    return True


def _start_again(stack: StackChanged, deps: SubscriberDependencies) -> None:
    """Let a deployment link again after `unlink --all`, unless its stack is being deleted.

    Lambda may repeat an event that CloudFormation has given up. The stack's status is read after
    the memory has `stopped=False`: a deletion that begins later sets it again. Raises DeletedError,
    AwsError, ConflictError.
    """
    remember(MemoryUpdate(stopped=False), deps)
    status = deps.stack_status() or ""
    # The rollback of an update deletes what the update created.
    over = ("DELETE", "ROLLBACK", *(["UPDATE_ROLLBACK"] if stack.kind == "Create" else []))
    if status.startswith(over):
        remember(MemoryUpdate(stopped=True), deps)
        raise DeletedError(f"the stack is in {status}: no log group is linked for it any more")


def _run(
    deps: SubscriberDependencies, recheck: RecheckPolicy, names: Iterable[str] | None = None
) -> RunState:
    began = deps.clock.now()
    memory = read_memory(deps)
    inventory = take_inventory(deps.aws, began, names)
    has_index = deps.settings.bucket is not None
    if has_index:
        # A first run takes minutes. The shipper must know the tags before it gets lines.
        index_tags(inventory, {}, deps.settings, deps.aws)
    selection = current_selection(deps.settings, memory)
    state = reconcile(inventory, selection, memory, recheck, deps)
    if has_index and state.fresh_tags:
        index_fresh_tags(state.fresh_tags, deps.settings.origin, deps.aws)
    return state
