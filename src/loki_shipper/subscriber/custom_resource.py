"""From what a run did for the stack to whether CloudFormation's request has failed."""

from typing import assert_never

from loki_shipper.subscriber.request import StackChanged
from loki_shipper.subscriber.tally import Report


def failure(stack: StackChanged, report: Report) -> str | None:
    """Say why CloudFormation's request has failed; None where it has not."""
    match stack.kind:
        case "Create" | "Update":
            return _not_linked(report)
        case "Delete":
            return _not_unlinked(report)
        case _:
            assert_never(stack.kind)


def _not_linked(report: Report) -> str | None:
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


def _not_unlinked(report: Report) -> str | None:
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
        return f"time was up with {report.left} log groups left: delete the stack again to go on"
    return None
