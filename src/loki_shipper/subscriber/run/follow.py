"""From what was known of a log group to what is known now: since when its lines are delivered."""

from collections.abc import Iterator

from loki_shipper.subscriber.memory import GroupState
from loki_shipper.subscriber.model import Filters, LogGroup
from loki_shipper.subscriber.policy.account_policy import InForce


def follow(
    before: GroupState | None, group: LogGroup, filters: Filters, in_force: InForce | None
) -> GroupState:
    """Give what is known of a log group that has these filters, and may be covered by the policy.

    Where its lines were delivered before, they were without a break: the new comes before the old
    goes. Then it stays as it was whether its first lines have been shipped.
    """
    is_new = in_force is not None and group.name in in_force.newly
    since = None if before is None else _since(before)
    was_passed_over = before is not None and since is None
    times = [*_times(group, filters, in_force, newly=is_new or was_passed_over)]
    if not times:
        return GroupState(group.created, filters)
    if before is None or since is None or is_new:
        return GroupState(group.created, filters, since=min(times))
    return GroupState(group.created, filters, before.caught_up, since)


def _since(known: GroupState) -> int | None:
    """Give since when a log group's lines are delivered; older memories know it of filters only."""
    if known.since is None and known.filters.ours is not None:
        return known.filters.ours.since
    return known.since


def _times(
    group: LogGroup, filters: Filters, in_force: InForce | None, *, newly: bool
) -> Iterator[int]:
    """Give when what delivers a log group's lines now began to, in ms since 1970."""
    if filters.ours is not None:
        yield filters.ours.since
    if in_force is not None and in_force.covers(group):
        yield max(group.created, in_force.since if newly else in_force.began)
