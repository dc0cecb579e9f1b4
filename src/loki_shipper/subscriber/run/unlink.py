"""Unlinks all log groups: for `unlink --all`, and before a stack is deleted."""

from msgspec.structs import replace

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.filters.observe import always, never
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.groups.select import Selection, is_selected
from loki_shipper.subscriber.memory import Memory, MemoryUpdate, merge_memory, remembered_state
from loki_shipper.subscriber.model import LogGroup, Turn
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, read_memory, remember
from loki_shipper.subscriber.run.reconcile import current_selection, reconcile
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.run.stop_order import NOTICED_MS
from loki_shipper.subscriber.store import ConflictError

_STOP = MemoryUpdate(stopped=True)


def unlink(deps: SubscriberDependencies) -> RunReport:
    """Delete every filter of ours, and keep other runs from putting one.

    Runs that link at the same time notice the order within seconds, so this run waits before it
    reads filters. It begins with log groups that are linked, or that the settings select; then it
    goes through all others while there is time. The report's `left` does not count those. Raises
    AwsError, ConflictError.
    """
    remember(_STOP, deps)
    _wait_until_noticed(deps)
    return _unlink(deps, read_memory(deps))


def unlink_before_deletion(deps: SubscriberDependencies, resume: Turn | None = None) -> RunReport:
    """Delete every filter of ours before the stack is deleted.

    Unlike `unlink`, it continues without the memory if the bucket, or its key, is not available.
    Then the report's `resume` says where the next run continues. Raises AwsError, ConflictError.
    """
    memory, without = Memory(), replace(deps, settings=replace(deps.settings, bucket=None))
    try:
        memory = read_memory(deps)
        remember(_STOP, deps)
    except (AwsError, ConflictError):
        return _unlink(without, memory, resume)
    _wait_until_noticed(deps)
    # Other runs may have put filters until they noticed the order.
    return _unlink(deps, read_memory(deps))


def _wait_until_noticed(deps: SubscriberDependencies) -> None:
    if deps.settings.bucket is not None:
        deps.clock.sleep(NOTICED_MS / 1000)


def _unlink(deps: SubscriberDependencies, memory: Memory, resume: Turn | None = None) -> RunReport:
    stopped = merge_memory(memory, _STOP)
    selection = current_selection(deps.settings, stopped)
    # Without tags: they decide nothing here, and an error of GetResources would stop the run.
    inventory = Inventory([*deps.aws.log_groups()], deps.clock.now())
    first = [
        group
        for group in inventory.groups
        if _may_be_linked(group, stopped, selection) and (resume is None or group.turn >= resume)
    ]
    # Buckets belong to this part, as it is sure to have time.
    some = replace(inventory, groups=first, complete=False, buckets=True)
    linked = reconcile(some, selection, stopped, never, deps)
    has_memory = deps.settings.bucket is not None
    # Another run may have changed the memory meanwhile.
    after = (
        merge_memory(read_memory(deps), _STOP)
        if has_memory
        else merge_memory(stopped, linked.memory_update())
    )
    others = reconcile(replace(inventory, buckets=False), selection, after, always, deps).report()
    report = linked.report()
    return replace(
        report,
        seen=others.seen,
        complete=True,
        resume=None if has_memory else linked.next_turn,
        linked=others.linked,
        deleted=report.deleted + others.deleted,
        failed=[*report.failed, *others.failed] if others.left else others.failed,
    )


def _may_be_linked(group: LogGroup, memory: Memory, selection: Selection) -> bool:
    """Tell whether the memory has our filter on a log group, or its name would be selected."""
    state = remembered_state(memory, group)
    if state is not None:
        return state.filters.ours is not None
    settings = replace(selection.settings, link_mode="groups", tag_conditions=(), tenant_tag=None)
    return is_selected(group, replace(selection, settings=settings))
