"""The report of a run, and its metrics."""

from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from loki_shipper.subscriber.buckets.link import BucketFailed, BucketOutcome, failures
from loki_shipper.subscriber.buckets.plan import (
    BucketReason,
    DeleteNotification,
    PutNotification,
    SkipBucket,
)
from loki_shipper.subscriber.filters.apply import Failed
from loki_shipper.subscriber.model import Reason, Turn


class BucketsReport(Struct, frozen=True):
    """The numbers of buckets with log files that send to the queue, were changed and so on.

    `linked` counts those that send to the queue directly, and `skipped` all that were left as they
    are, by reason.
    """

    linked: int = 0
    put: int = 0
    deleted: int = 0
    skipped: dict[str, int] = {}
    failed: list[BucketFailed] = []


def buckets_report(outcomes: Iterable[BucketOutcome]) -> BucketsReport:
    """Count the outcomes of a run for buckets."""
    done = [*outcomes]
    kinds = Counter(type(each) for each in done)
    skipped = Counter(str(each.reason) for each in done if isinstance(each, SkipBucket))
    put = kinds[PutNotification]
    return BucketsReport(
        linked=put + skipped[BucketReason.LINKED],
        put=put,
        deleted=kinds[DeleteNotification],
        skipped=dict(skipped),
        failed=failures(done),
    )


class RunReport(Struct, frozen=True, kw_only=True):
    """The numbers of log groups that a run linked, skipped and so on; `caught_up` counts lines.

    `skipped`: by reason. `behind`: log groups that have more first lines than are shipped at once.
    `given_up`: log groups with first lines that are too old for Loki, or that were deleted.
    `waiting`: log groups whose first lines wait for the next run. `left`: log groups that the run
    had no time for; the next run starts with them. `complete`: the run was about all log groups.
    `policy_failure`: why the account policy is not in force as it should be. `by_policy`: it is in
    force. `resume`: where a deletion that has no memory continues. `buckets`: those with log files.
    """

    seen: int
    linked: int
    put: int
    deleted: int
    skipped: dict[str, int]
    failed: list[Failed]
    caught_up: int
    behind: list[str]
    given_up: list[str]
    waiting: int
    left: int
    complete: bool
    policy_failure: str | None
    by_policy: bool = False
    resume: Turn | None = None
    buckets: BucketsReport = BucketsReport()

    @property
    def link_errors(self) -> int:
        """Count the failures, except those of first lines."""
        of_groups = sum(each.step != "first_lines" for each in self.failed)
        return of_groups + len(self.buckets.failed)

    @property
    def is_finished(self) -> bool:
        """Tell whether the run looked at all log groups and did everything."""
        return self.complete and not self.left and not self.link_errors


def metrics(report: RunReport) -> Iterator[tuple[str, str, float]]:
    """Give each metric's name, CloudWatch unit and value.

    `FirstLinesGivenUp` counts log groups. The metrics from `LogGroupsSeen` on are of full sweeps
    only, as a run about one log group does not count the others. `SweepsComplete` is missing if a
    sweep did not end or could not do everything.
    """
    yield "FiltersPut", "Count", report.put
    yield "FiltersDeleted", "Count", report.deleted
    yield "LinkErrors", "Count", report.link_errors
    yield "LinesCaughtUp", "Count", report.caught_up
    yield "FirstLinesGivenUp", "Count", len(report.given_up)
    if report.complete:
        yield "LogGroupsSeen", "Count", report.seen
        yield "LogGroupsLinked", "Count", report.linked
        yield "LogGroupsLeft", "Count", report.left
        for reason in Reason:
            name = "".join(word.capitalize() for word in reason.split("_"))
            yield f"LogGroupsSkipped{name}", "Count", report.skipped.get(reason, 0)
        if report.is_finished:
            yield "SweepsComplete", "Count", 1
