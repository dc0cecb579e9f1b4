"""From what was known of a log group to what is known now: since when its lines are delivered."""

from loki_shipper.subscriber.memory import Known
from loki_shipper.subscriber.model import Filters, LogGroup


def follow(before: Known | None, group: LogGroup, filters: Filters) -> Known:
    """Give what is known of a log group that has these filters.

    Where its lines were delivered before, they were without a break. Then it stays as it was
    whether its first lines have been shipped.
    """
    if filters.ours is None:
        return Known(group.created, filters)
    since = None if before is None else _since(before)
    if before is None or since is None:
        return Known(group.created, filters, since=filters.ours.since)
    return Known(group.created, filters, before.caught_up, since)


def _since(known: Known) -> int | None:
    """Give since when a log group's lines are delivered; older memories know it of filters only."""
    if known.since is None and known.filters.ours is not None:
        return known.filters.ours.since
    return known.since
