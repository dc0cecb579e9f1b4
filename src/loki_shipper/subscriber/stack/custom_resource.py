"""Decides from a run's report whether CloudFormation's request failed, or continues."""

from typing import Any, assert_never

from msgspec.structs import replace

from loki_shipper.subscriber.request import StackChanged, continued
from loki_shipper.subscriber.run.report import RunReport

_WAITS_MS = 3_500_000
"""Time that CloudFormation waits for an answer: an hour, less the time for the requests, in ms."""

_LEAST_SECONDS = 150.0
"""Shortest time that is worth another invocation, which reserves a minute to answer."""


def with_start(stack: StackChanged, now: int) -> StackChanged:
    """Set when CloudFormation began to wait, in ms since 1970, unless an earlier run did."""
    return stack if stack.began is not None else replace(stack, began=now)


def seconds_left(stack: StackChanged, now: int) -> float:
    """Give the seconds that CloudFormation still waits for an answer."""
    assert stack.began is not None
    return (stack.began + _WAITS_MS - now) / 1000


def next_request(stack: StackChanged, report: RunReport, now: int) -> dict[str, Any] | None:
    """Give the event that makes another invocation continue; None if there is no need or time.

    Only a deletion continues: after a Create or Update the sweeps do the rest. `now` is in ms since
    1970.
    """
    if stack.kind != "Delete" or not report.left or seconds_left(stack, now) < _LEAST_SECONDS:
        return None
    assert stack.began is not None
    return continued(stack.event, stack.began, report.resume)


def failure(stack: StackChanged, report: RunReport) -> str | None:
    """Give the reason why CloudFormation's request failed; None if it succeeded."""
    match stack.kind:
        case "Create" | "Update":
            return _not_linked(report)
        case "Delete":
            return _not_unlinked(report)
        case _:
            assert_never(stack.kind)


def _not_linked(report: RunReport) -> str | None:
    """Give the reason why no log group is linked.

    A deployment goes on if only some log groups failed, if a log group has no place for a filter,
    or if AWS was too busy.
    """
    if report.policy_failure is not None:
        return (
            f"the account policy is not in force ({report.policy_failure}), so nothing was "
            "unlinked: put that right, or set LinkMode to groups, and deploy again"
        )
    lasting = [
        each for each in report.failed if each.step in {"look", "link"} and not each.is_temporary
    ]
    if not lasting or report.linked or report.by_policy:
        return None
    first = lasting[0]
    return (
        f"no log group could be linked: {len(lasting)} failed, the first of them {first.group} "
        f"with {first.why} ({first.detail}); put that right and deploy again"
    )


def _not_unlinked(report: RunReport) -> str | None:
    """Give the reason why filters of ours are left. The next deletion continues from here."""
    if report.failed:
        first = report.failed[0]
        return (
            f"{len(report.failed)} log groups could not be unlinked, such as {first.group} "
            f"({first.why}): put that right and delete the stack again"
        )
    if report.buckets.failed:
        bucket = report.buckets.failed[0]
        return (
            f"the notifications of {len(report.buckets.failed)} buckets could not be taken out, "
            f"such as those of {bucket.bucket} ({bucket.why}: {bucket.detail}): put that right and "
            "delete the stack again"
        )
    if report.left:
        return (
            f"time was up with {report.left} log groups left: delete the stack again to go on, or "
            "run `loki-shipper deploy --delete`, which unlinks first for as long as it takes"
        )
    return None
