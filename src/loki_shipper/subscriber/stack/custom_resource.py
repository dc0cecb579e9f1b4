"""From what a run did for the stack to whether CloudFormation's request has failed, or goes on."""

from typing import Any, assert_never

from msgspec.structs import replace

from loki_shipper.subscriber.request import StackChanged, goes_on
from loki_shipper.subscriber.run.run_state import RunReport

_WAITS_MS = 3_500_000
"""How long CloudFormation waits for an answer: an hour, from which the way here and back goes."""

_LEAST_SECONDS = 150.0
"""What is worth another invocation, which keeps a minute back to answer."""


def begun(stack: StackChanged, now: int) -> StackChanged:
    """Note when CloudFormation began to wait, in ms since 1970, unless an earlier run has."""
    return stack if stack.began is not None else replace(stack, began=now)


def seconds_left(stack: StackChanged, now: int) -> float:
    """Give how long CloudFormation still waits for an answer to a request that has begun."""
    assert stack.began is not None
    return (stack.began + _WAITS_MS - now) / 1000


def next_request(stack: StackChanged, report: RunReport, now: int) -> dict[str, Any] | None:
    """Give the request with which another invocation goes on; None where there is no need or time.

    Only a deletion goes on: after the others the sweeps do. `now` is in ms since 1970.
    """
    if stack.kind != "Delete" or not report.left or seconds_left(stack, now) < _LEAST_SECONDS:
        return None
    assert stack.began is not None
    return goes_on(stack.event, stack.began, report.resume)


def failure(stack: StackChanged, report: RunReport) -> str | None:
    """Say why CloudFormation's request has failed; None where it has not."""
    match stack.kind:
        case "Create" | "Update":
            return _not_linked(report)
        case "Delete":
            return _not_unlinked(report)
        case _:
            assert_never(stack.kind)


def _not_linked(report: RunReport) -> str | None:
    """Say why no log group is linked.

    A single one that could not be linked stops no deployment, nor does a log group without a place
    for a filter, or a call that AWS was too busy for.
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
    """Say which filters are left: CloudWatch Logs skips lines for what it cannot deliver.

    The next try goes on from here.
    """
    if report.failed:
        first = report.failed[0]
        return (
            f"{len(report.failed)} log groups could not be unlinked, such as {first.group} "
            f"({first.why}): put that right and delete the stack again"
        )
    if report.left:
        return (
            f"time was up with {report.left} log groups left: delete the stack again to go on, or "
            "run `loki-shipper deploy --delete`, which unlinks first for as long as it takes"
        )
    return None
