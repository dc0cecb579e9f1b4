"""Computes the state of a log group after a run: since when its lines are delivered."""

from collections.abc import Iterator

from loki_shipper.subscriber.memory import GroupState
from loki_shipper.subscriber.model import Filters, LogGroup
from loki_shipper.subscriber.policy.account_policy import PolicyInForce


def next_state(
    before: GroupState | None, group: LogGroup, filters: Filters, policy: PolicyInForce | None
) -> GroupState:
    """Give the state of a log group that now has these filters, beside the policy.

    A run puts the new filter or policy before it deletes the old one. So lines that were delivered
    before have been delivered without a break, and `caught_up` stays as it was.
    """
    is_newly_covered = policy is not None and group.name in policy.newly
    since = None if before is None else _since(before)
    was_unlinked = before is not None and since is None
    times = [*_times(group, filters, policy, newly=is_newly_covered or was_unlinked)]
    if not times:
        return GroupState(group.created, filters)
    if before is None or since is None or is_newly_covered:
        return GroupState(group.created, filters, since=min(times))
    return GroupState(group.created, filters, before.caught_up, since)


def _since(state: GroupState) -> int | None:
    """Give since when lines are delivered; a memory of an older version has it in filters only."""
    if state.since is None and state.filters.ours is not None:
        return state.filters.ours.since
    return state.since


def _times(
    group: LogGroup, filters: Filters, policy: PolicyInForce | None, *, newly: bool
) -> Iterator[int]:
    """Give when our filter and the policy began to deliver the lines, in ms since 1970."""
    if filters.ours is not None:
        yield filters.ours.since
    if policy is not None and policy.covers(group):
        yield max(group.created, policy.since if newly else policy.began)
