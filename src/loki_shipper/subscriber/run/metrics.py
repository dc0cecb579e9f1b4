"""From a run's report to its metrics."""

from collections.abc import Iterator

from loki_shipper.subscriber.model import Reason
from loki_shipper.subscriber.run.run_state import RunReport


def metrics(report: RunReport) -> Iterator[tuple[str, str, float]]:
    """Give each metric's name, CloudWatch unit and value.

    `FirstLinesGivenUp` counts log groups. `LogGroupsSeen`, `LogGroupsLinked` and what was skipped
    are of sweeps only, as a look at one log group says nothing of the rest. `SweepsComplete` is
    missing where a sweep came to no end or could not do everything.
    """
    yield "FiltersPut", "Count", report.put
    yield "FiltersDeleted", "Count", report.deleted
    yield "LinkErrors", "Count", report.link_errors
    yield "LinesCaughtUp", "Count", report.caught_up
    yield "FirstLinesGivenUp", "Count", len(report.given_up)
    if report.whole:
        yield "LogGroupsSeen", "Count", report.seen
        yield "LogGroupsLinked", "Count", report.linked
        yield "LogGroupsLeft", "Count", report.left
        for reason in Reason:
            name = "".join(word.capitalize() for word in reason.split("_"))
            yield f"LogGroupsSkipped{name}", "Count", report.skipped.get(reason, 0)
        if report.is_complete:
            yield "SweepsComplete", "Count", 1
