"""The counts of log groups that an audit compares, and its differences. Hours are since 1970."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

FORWARD_HOURS: Final = 24
"""CloudWatch Logs repeats a delivery that fails for a day."""

REJECTED: Final = "rejected/"


class Window(Struct, frozen=True):
    """The hours that are audited, from `start` to before `end`; `now` is the current hour."""

    start: int
    end: int
    now: int

    @property
    def hours(self) -> range:
        """Give the hours that are audited."""
        return range(self.start, self.end)


class AuditedGroup(Struct, frozen=True):
    """A log group, and its filter: its pattern, and the hour since which it delivers.

    `since` is None if it does not deliver. `tenants` are those of Loki that its lines go to.
    `created` is the hour of its creation: lines before are of another log group of the name.
    """

    name: str
    since: int | None
    pattern: str = ""
    tenants: tuple[str | None, ...] = (None,)
    created: int = 0


class NotRead(Struct, frozen=True):
    """A source of counts was not read; `why` is a reason for people."""

    why: str


class CloudWatchCounts(Struct, frozen=True):
    """The log events that CloudWatch Logs took in and forwarded, by hour.

    `forwarded` is None if AWS measures no filter. `refused` are log events that the destination
    refused or throttled, which CloudWatch Logs sends again for up to a day.
    """

    incoming: Mapping[int, int]
    forwarded: Mapping[int, int] | None
    refused: int = 0


class LoggedCount(Struct, frozen=True, kw_only=True):
    """Sums of `hourly` objects that a function logged in the hour `at` (HourlyCount)."""

    by: Literal["shipper", "redriver"]
    log_group: str
    at: int
    hour: int
    received: int = 0
    delivered: int = 0
    dropped: int = 0
    rejected: int = 0
    saved: int = 0
    entries: int = 0
    elsewhere: int = 0


class OwnLog(Struct, frozen=True):
    """What the functions logged about one log group.

    `counts_from` is the first hour with counts of any log group: an older version writes none.
    `reasons` counts lines that were not delivered (`rejected/too_old`), as far as they were read.
    `unnamed` are lines of all log groups that large batches hold beyond 200 log groups: any of them
    may be of this log group.
    """

    counts: Sequence[LoggedCount] = ()
    counts_from: int | None = None
    reasons: Mapping[str, int] = {}
    unnamed: int = 0


class StoredLines(Struct, frozen=True):
    """Lines of objects in one folder of the bucket, by the reason why they are there."""

    folder: str
    reason: str
    lines: int


class BucketCounts(Struct, frozen=True):
    """The lines of a log group in the bucket, written since the window began.

    `is_complete` is False if the bucket has more objects than an audit reads.
    """

    stored: Sequence[StoredLines] = ()
    is_complete: bool = True


class LokiCounts(Struct, frozen=True):
    """The different lines that Loki holds, by the hour of their time; a missing hour has none.

    `sampled` are hours with too many lines to read all of them. `not_read` are hours without a
    count, as a rule chose another tenant.
    """

    lines: Mapping[int, int]
    sampled: frozenset[int] = frozenset()
    not_read: frozenset[int] = frozenset()


class GroupCounts(Struct, frozen=True):
    """The four counts of one log group."""

    cloudwatch: CloudWatchCounts | NotRead
    own_log: OwnLog | NotRead
    bucket: BucketCounts | NotRead
    loki: LokiCounts | NotRead


type DifferenceKind = Literal["missing", "rejected", "waiting"]


class Difference(Struct, frozen=True):
    """Lines that CloudWatch Logs took in and that are not in Loki, and the place where they are.

    `missing` lines are nowhere, `rejected` ones were refused for good, `waiting` ones may still
    arrive. `first` and `last` are the hours of the lines, if they are known.
    """

    kind: DifferenceKind
    lines: int
    place: str
    first: int | None = None
    last: int | None = None


class GroupAudit(Struct, frozen=True, kw_only=True):
    """The audit of one log group: its sums, and each difference; a sum is None if it was not read.

    `is_compared` is False if the shipper's counts are missing. `notes` say what could not be
    compared.
    """

    name: str
    is_compared: bool = True
    incoming: int | None = None
    forwarded: int | None = None
    received: int | None = None
    delivered: int | None = None
    dropped: Mapping[str, int] = {}
    loki: int | None = None
    expected: int | None = None
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self, kind: DifferenceKind) -> int:
        """Give the number of lines of the differences of one kind."""
        return sum(each.lines for each in self.differences if each.kind == kind)

    @property
    def agrees(self) -> bool:
        """Tell whether every line is where it should be, as far as the sources were read."""
        return self.is_compared and not self.differences
