"""From a request to a run, and its report."""

from collections.abc import Iterable
from typing import assert_never

from loki_shipper.subscriber.first_lines import ship_first_lines
from loki_shipper.subscriber.index import index, index_fresh
from loki_shipper.subscriber.memory import Lesson
from loki_shipper.subscriber.observe import Distrust, always, hourly, never
from loki_shipper.subscriber.reconcile import reconcile, rules
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.surroundings import Surroundings, read_memory, remember
from loki_shipper.subscriber.survey import survey
from loki_shipper.subscriber.tally import Report, Tally
from loki_shipper.subscriber.unlink import unlink


def respond(asked: Sweep | GroupsChanged | StackChanged, around: Surroundings) -> Report:
    """Do what is asked, as far as time allows. Raises AwsError, ConflictError."""
    match asked:
        case Sweep():
            tally = _run(around, hourly(around.clock.now()))
        case GroupsChanged(names=names):
            tally = _run(around, always, names)
        case StackChanged(kind="Delete"):
            return unlink(around)
        case StackChanged():
            # A deployment starts again what was stopped by hand. First lines are left to the next
            # sweep: CloudFormation waits for an answer.
            remember(Lesson(stopped=False), around)
            return _run(around, never).report()
        case _:
            assert_never(asked)
    ship_first_lines(tally, around)
    return tally.report()


def _run(around: Surroundings, distrust: Distrust, names: Iterable[str] | None = None) -> Tally:
    began = around.clock.now()
    memory = read_memory(around)
    found = survey(around.aws, began, names)
    origin, has_index = around.settings.origin, around.settings.bucket is not None
    if has_index:
        index(found, origin, around.aws)
    tally = reconcile(found, rules(around.settings, memory), memory, distrust, around)
    if has_index:
        index_fresh(tally.fresh_tags, origin, around.aws)
    return tally
