"""Unlinks everything, for good or until told otherwise."""

from msgspec.structs import replace

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.filters.observe import always, never
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.groups.select import Selection, is_selected
from loki_shipper.subscriber.memory import Memory, MemoryUpdate, merge_memory, remembered_state
from loki_shipper.subscriber.model import LogGroup, Turn
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, read_memory, remember
from loki_shipper.subscriber.run.reconcile import reconcile, selection
from loki_shipper.subscriber.run.run_state import RunReport
from loki_shipper.subscriber.run.stop_order import HEEDED_MS
from loki_shipper.subscriber.store import ConflictError

_STOP = MemoryUpdate(stopped=True)


def unlink(deps: SubscriberDependencies) -> RunReport:
    """Delete every filter of ours, and keep other runs from putting one.

    Runs that link at the same time find the order within seconds, so the look at filters waits for
    them. First come log groups that are linked, or may be as the settings select them; then, in
    the time that is left, all others, of which the report's `left` does not speak. Raises AwsError,
    ConflictError.
    """
    remember(_STOP, deps)
    _wait_until_heeded(deps)
    return _unlink(deps, read_memory(deps))


def unlink_before_deletion(deps: SubscriberDependencies, resume: Turn | None = None) -> RunReport:
    """Delete every filter of ours, as the stack is about to be deleted.

    Unlike `unlink` it goes on without the memory where the bucket, or its key, cannot be used.
    Then the report's `resume` says where the next run is to go on. Raises AwsError, ConflictError.
    """
    memory, without = Memory(), replace(deps, settings=replace(deps.settings, bucket=None))
    try:
        memory = read_memory(deps)
        remember(_STOP, deps)
    except (AwsError, ConflictError):
        return _unlink(without, memory, resume)
    _wait_until_heeded(deps)
    # What a run beside this one has put until it found the order.
    return _unlink(deps, read_memory(deps))


def _wait_until_heeded(deps: SubscriberDependencies) -> None:
    if deps.settings.bucket is not None:
        deps.clock.sleep(HEEDED_MS / 1000)


def _unlink(deps: SubscriberDependencies, memory: Memory, resume: Turn | None = None) -> RunReport:
    ordered = merge_memory(memory, _STOP)
    ruled = selection(deps.settings, ordered)
    # Without tags: they decide nothing here, and cannot stand in the way.
    found = Inventory([*deps.aws.log_groups()], deps.clock.now())
    first = [
        group
        for group in found.groups
        if _may_be_linked(group, ordered, ruled) and (resume is None or group.turn >= resume)
    ]
    known = reconcile(replace(found, groups=first, whole=False), ruled, ordered, never, deps)
    is_remembered = deps.settings.bucket is not None
    # A run beside this one may have changed the memory meanwhile.
    after = (
        merge_memory(read_memory(deps), _STOP)
        if is_remembered
        else merge_memory(ordered, known.memory_update())
    )
    others = reconcile(found, ruled, after, always, deps).report()
    report = known.report()
    return replace(
        report,
        seen=others.seen,
        whole=True,
        resume=None if is_remembered else known.next_turn,
        linked=others.linked,
        deleted=report.deleted + others.deleted,
        failed=[*report.failed, *others.failed] if others.left else others.failed,
    )


def _may_be_linked(group: LogGroup, memory: Memory, ruled: Selection) -> bool:
    """Tell whether our filter is on a log group as far as is known, or would be by its name."""
    known = remembered_state(memory, group)
    if known is not None:
        return known.filters.ours is not None
    settings = replace(ruled.settings, link_mode="groups", tag_conditions=(), tenant_tag=None)
    return is_selected(group, replace(ruled, settings=settings))
