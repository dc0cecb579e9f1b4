"""Counts the lines of log groups by hour, for `loki-shipper audit` (docs/decisions/audit.md)."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import asdict

from loki_shipper.model import Entry

HOUR_MS = 3_600_000
HOUR_NS = HOUR_MS * 1_000_000

_MOST = 200
"""Counts that an invocation, or a run of the redriver, writes to its log."""

_SUMMED = ("received", "delivered", "dropped", "rejected", "saved", "entries", "elsewhere")

_received = attrgetter("received")
_timestamp = attrgetter("timestamp")


class HourlyCount(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The lines of a log group, by outcome; `hour` is in hours since 1970.

    A payload is counted in the hour of its newest line. But `saved` lines, which are in the bucket,
    are counted in the hour of their own time, and `entries` of Loki in the hour of theirs.
    `elsewhere` are entries of payloads with a tenant that a rule chose; the log must not name it.
    `reasons` counts the lines that were not delivered, by outcome and reason (`dropped/health`).
    Without a `log_group`, it is the sum of several ones.
    """

    account: str
    log_group: str
    hour: int
    received: int = 0
    delivered: int = 0
    dropped: int = 0
    rejected: int = 0
    saved: int = 0
    entries: int = 0
    elsewhere: int = 0
    reasons: dict[str, int] = {}


def count_hours(hours: Counter[int], entries: Sequence[Entry]) -> None:
    """Add entries, which ascend in time, to the numbers by hour of their time."""
    # A search looks at few entries, and columns make an Entry for each one that is looked at.
    start = 0
    while start < len(entries):
        hour = entries[start].timestamp // HOUR_NS
        end = bisect_left(entries, (hour + 1) * HOUR_NS, start, key=_timestamp)
        hours[hour] += end - start
        start = end


class HourlySums:
    """Adds up counts of the same log group and hour."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, int], HourlyCount] = {}

    def add(self, counts: Iterable[HourlyCount]) -> None:
        """Add counts."""
        for each in counts:
            key = (each.account, each.log_group, each.hour)
            self._sums[key] = _sum(self._sums[key], each) if key in self._sums else each

    def counts(self) -> tuple[HourlyCount, ...]:
        """Give one count for each log group and hour."""
        return tuple(self._sums.values())


def merge_hourly(counts: Iterable[HourlyCount]) -> tuple[HourlyCount, ...]:
    """Add up the counts of the same log group and hour."""
    sums = HourlySums()
    sums.add(counts)
    return sums.counts()


def largest_hourly(counts: Sequence[HourlyCount], most: int) -> tuple[HourlyCount, ...]:
    """Keep the counts with the most lines, and add the others up to one for each hour."""
    if len(counts) <= most:
        return tuple(counts)
    ordered = sorted(counts, key=_received, reverse=True)
    others = [
        HourlyCount(**{**asdict(each), "account": "", "log_group": ""}) for each in ordered[most:]
    ]
    return (*ordered[:most], *merge_hourly(others))


def _sum(one: HourlyCount, other: HourlyCount) -> HourlyCount:
    sums = {name: getattr(one, name) + getattr(other, name) for name in _SUMMED}
    reasons = sum_counts((one.reasons, other.reasons))
    return HourlyCount(**{**asdict(one), **sums, "reasons": reasons})


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up numbers by name."""
    sums = Counter[str]()
    for each in counts:
        sums.update(each)
    return dict(sums)


def log_members(
    counts: Sequence[HourlyCount],
) -> tuple[dict[str, HourlyCount], list[dict[str, HourlyCount]]]:
    """Give the members of a report's line in the log, and those of the lines after it.

    An invocation of a subscription filter has one count, which needs no line of its own.
    """
    members = [{"hourly": each} for each in largest_hourly(counts, _MOST)]
    return (members[0], []) if len(members) == 1 else ({}, members)
