"""Unlinks everything, for good or until told otherwise."""

from msgspec.structs import replace

from loki_shipper.subscriber.memory import Lesson, Memory, learn, recall
from loki_shipper.subscriber.model import LogGroup, Turn
from loki_shipper.subscriber.observe import always, never
from loki_shipper.subscriber.pace import AwsError
from loki_shipper.subscriber.reconcile import reconcile, rules
from loki_shipper.subscriber.select import Rules, is_selected
from loki_shipper.subscriber.stop_order import HEEDED_MS
from loki_shipper.subscriber.store import ConflictError
from loki_shipper.subscriber.surroundings import Surroundings, read_memory, remember
from loki_shipper.subscriber.survey import Survey
from loki_shipper.subscriber.tally import Report

_STOP = Lesson(stopped=True)


def unlink(around: Surroundings) -> Report:
    """Delete every filter of ours, and keep other runs from putting one.

    Runs that link at the same time find the order within seconds, so the look at filters waits for
    them. First come log groups that are linked, or may be as the settings select them; then, in
    the time that is left, all others, of which the report's `left` does not speak. Raises AwsError,
    ConflictError.
    """
    remember(_STOP, around)
    _wait_until_heeded(around)
    return _unlink(around, read_memory(around))


def unlink_before_deletion(around: Surroundings, resume: Turn | None = None) -> Report:
    """Delete every filter of ours, as the stack is about to be deleted.

    Unlike `unlink` it goes on without the memory where the bucket, or its key, cannot be used.
    Then the report's `resume` says where the next run is to go on. Raises AwsError, ConflictError.
    """
    memory, without = Memory(), replace(around, settings=replace(around.settings, bucket=None))
    try:
        memory = read_memory(around)
        remember(_STOP, around)
    except (AwsError, ConflictError):
        return _unlink(without, memory, resume)
    _wait_until_heeded(around)
    # What a run beside this one has put until it found the order.
    return _unlink(around, read_memory(around))


def _wait_until_heeded(around: Surroundings) -> None:
    if around.settings.bucket is not None:
        around.clock.sleep(HEEDED_MS / 1000)


def _unlink(around: Surroundings, memory: Memory, resume: Turn | None = None) -> Report:
    ordered = learn(memory, _STOP)
    ruled = rules(around.settings, ordered)
    # Without tags: they decide nothing here, and cannot stand in the way.
    found = Survey([*around.aws.log_groups()], around.clock.now())
    first = [
        group
        for group in found.groups
        if _may_be_linked(group, ordered, ruled) and (resume is None or group.turn >= resume)
    ]
    known = reconcile(replace(found, groups=first, whole=False), ruled, ordered, never, around)
    is_remembered = around.settings.bucket is not None
    # A run beside this one may have changed the memory meanwhile.
    after = learn(read_memory(around), _STOP) if is_remembered else learn(ordered, known.lesson())
    others = reconcile(found, ruled, after, always, around).report()
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


def _may_be_linked(group: LogGroup, memory: Memory, ruled: Rules) -> bool:
    """Tell whether our filter is on a log group as far as is known, or would be by its name."""
    known = recall(memory, group)
    if known is not None:
        return known.filters.ours is not None
    settings = replace(ruled.settings, link_mode="groups", tag_conditions=(), tenant_tag=None)
    return is_selected(group, replace(ruled, settings=settings))
