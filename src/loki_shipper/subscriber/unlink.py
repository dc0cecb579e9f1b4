"""Unlinks everything, for good or until told otherwise."""

from msgspec.structs import replace

from loki_shipper.subscriber.memory import Lesson, learn
from loki_shipper.subscriber.observe import always, never
from loki_shipper.subscriber.reconcile import reconcile, rules
from loki_shipper.subscriber.stop_order import HEEDED_MS
from loki_shipper.subscriber.surroundings import Surroundings, read_memory, remember
from loki_shipper.subscriber.survey import survey
from loki_shipper.subscriber.tally import Report

_STOP = Lesson(stopped=True)


def unlink(around: Surroundings) -> Report:
    """Delete every filter of ours, and keep other runs from putting one.

    Runs that link at the same time find the order within seconds, so the look at filters waits for
    them. First those that the memory knows; then, in the time that is left, it looks for others, of
    which the report's `left` does not speak. Raises AwsError, ConflictError.
    """
    remember(_STOP, around)
    if around.settings.bucket is not None:
        around.clock.sleep(HEEDED_MS / 1000)
    found = survey(around.aws, around.clock.now())
    reports = []
    for distrust in (never, always):
        memory = learn(read_memory(around), _STOP)
        tally = reconcile(found, rules(around.settings, memory), memory, distrust, around)
        reports.append(tally.report())
    known, others = reports
    return replace(
        known,
        linked=others.linked,
        deleted=known.deleted + others.deleted,
        failed=[*known.failed, *others.failed] if others.left else others.failed,
    )
