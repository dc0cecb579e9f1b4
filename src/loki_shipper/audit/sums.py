"""Sums of what the functions logged about one log group."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from loki_shipper.audit.model import LoggedCount, NotRead, OwnLog, Window


def entries_by_hour(own_log: OwnLog, window: Window) -> dict[int, int]:
    """Give the entries that the functions delivered by the hour of their time."""
    return by_hour(
        [each for each in own_log.counts if each.hour in window.hours],
        key=lambda each: each.hour,
        field="entries",
    )


def logged_by(own_log: OwnLog, by: str, hours: range) -> list[LoggedCount]:
    """Give the counts that a function logged in these hours."""
    return [each for each in own_log.counts if each.by == by and each.at in hours]


def sum_of(counts: Iterable[LoggedCount], *fields: str) -> int:
    """Add up fields of counts."""
    return sum(getattr(each, field) for each in counts for field in fields)


def by_hour(
    counts: Iterable[LoggedCount],
    key: Callable[[LoggedCount], int] = lambda each: each.at,
    field: str = "received",
) -> dict[int, int]:
    """Add up a field of counts by an hour: that of the log, or another one."""
    sums = Counter[int]()
    for each in counts:
        sums[key(each)] += getattr(each, field)
    return dict(sums)


def dropped_by_rule(logged: Sequence[LoggedCount], own_log: OwnLog | NotRead) -> dict[str, int]:
    """Give the dropped lines by rule; those of unknown rules together."""
    if isinstance(own_log, NotRead):
        return {}
    reasons = reasons_of(own_log, "dropped")
    others = sum_of(logged, "dropped") - sum(reasons.values())
    return reasons | ({"other rules": others} if others > 0 else {})


def reasons_of(own_log: OwnLog, outcome: str) -> dict[str, int]:
    """Give the lines of one outcome by reason."""
    prefix = f"{outcome}/"
    found = own_log.reasons.items()
    return {key.removeprefix(prefix): n for key, n in found if key.startswith(prefix)}


def lines_within(counts: Mapping[int, int], window: Window) -> int:
    """Add up the lines in the hours of a window."""
    return sum(lines for hour, lines in counts.items() if hour in window.hours)
