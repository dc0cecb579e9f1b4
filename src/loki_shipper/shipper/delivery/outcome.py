"""The outcomes of entries, and their sums for a payload and for an invocation."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import Entry, LogData, LogEvent
from loki_shipper.shipper.delivery.hourly import (
    HOUR_MS,
    HourlyCount,
    count_hours,
    merge_hourly,
    sum_counts,
)
from loki_shipper.shipper.entries.columns import Columns

_timestamp = attrgetter("timestamp")


class Delivered(Struct, frozen=True):
    """Loki holds the entries; `late`: in a late stream."""

    entries: Sequence[Entry]
    late: bool = False


class Rejected(Struct, frozen=True):
    """Loki will never take the entries, because of their content."""

    entries: Sequence[Entry]
    reason: str


class Errored(Struct, frozen=True):
    """Delivery failed for now, because of Loki, the network or the settings; a retry may succeed.

    Loki may hold some of the entries.
    """

    entries: Sequence[Entry]
    reason: str


class Deferred(Struct, frozen=True):
    """Loki, or the settings, will take the entries later.

    Loki takes them from the time `due` on, in ms since 1970. None: the time is not known.
    """

    entries: Sequence[Entry]
    reason: str
    due: int | None = None


type Outcome = Delivered | Rejected | Deferred | Errored


class Report(Struct, frozen=True, kw_only=True):
    """The numbers of log events of an invocation, by outcome and reason.

    `received == delivered + dropped + rejected + deferred + errored`. `late` log events are
    `delivered` too. `deferred` ones are in the bucket until Loki will take them. `matched` counts
    the matches of each rule. `newest` is the time of the newest log event in ms since 1970.
    `undecodable` counts undecodable records by reason. `failure` is the reason why Lambda must send
    the event again. If Lambda takes an answer for each record, `retry` names the records. `hourly`
    has the same log events by log group, without those that Lambda sends again. `log_files` counts
    log files by what became of them.
    """

    received: int = 0
    delivered: int = 0
    late: int = 0
    dropped: dict[str, int] = {}
    rejected: dict[str, int] = {}
    deferred: dict[str, int] = {}
    errored: dict[str, int] = {}
    matched: dict[str, int] = {}
    newest: int = 0
    undecodable: dict[str, int] = {}
    failure: str | None = None
    retry: tuple[str, ...] = ()
    hourly: tuple[HourlyCount, ...] = ()
    log_files: dict[str, int] = {}


def total(reports: Sequence[Report]) -> Report:
    """Add reports up to one."""
    if len(reports) == 1:
        return reports[0]
    failures = dict.fromkeys(each.failure for each in reports if each.failure is not None)
    return Report(
        received=sum(each.received for each in reports),
        delivered=sum(each.delivered for each in reports),
        late=sum(each.late for each in reports),
        dropped=sum_counts(each.dropped for each in reports),
        rejected=sum_counts(each.rejected for each in reports),
        deferred=sum_counts(each.deferred for each in reports),
        errored=sum_counts(each.errored for each in reports),
        matched=sum_counts(each.matched for each in reports),
        newest=max((each.newest for each in reports), default=0),
        undecodable=sum_counts(each.undecodable for each in reports),
        failure="; ".join(failures) or None,
        retry=tuple(chain.from_iterable(each.retry for each in reports)),
        hourly=merge_hourly(chain.from_iterable(each.hourly for each in reports)),
        log_files=sum_counts(each.log_files for each in reports),
    )


type Deferral = tuple[str, int | None]
"""The reason of a deferral, and its end in ms since 1970 if that is known."""


class Settled(Struct, frozen=True):
    """Log events by outcome. A log event of several entries has the worst of their outcomes.

    `entries` counts the entries of delivered log events, by the hour of their time since 1970.
    """

    delivered: int = 0
    late: int = 0
    rejected: dict[str, list[LogEvent]] = {}
    deferred: dict[Deferral, list[LogEvent]] = {}
    errored: dict[str, list[LogEvent]] = {}
    entries: dict[int, int] = {}


class Shipped(Struct, frozen=True):
    """A payload, the outcomes of its log events, and the effects of rules on it.

    `dropped` counts dropped log events by reason, `matched` the matches of each rule. `tenants` are
    the tenants of its streams, `own_tenant` is that of the payload if no rule chooses another one.
    """

    data: LogData
    settled: Settled = Settled()
    dropped: dict[str, int] = {}
    matched: dict[str, int] = {}
    tenants: frozenset[str | None] = frozenset()
    own_tenant: str | None = None

    def report(self, *, failure: str | None) -> Report:
        """Give the numbers of log events by outcome and reason."""
        settled, events = self.settled, self.data.log_events
        deferred = Counter[str]()
        for (reason, _), some in settled.deferred.items():
            deferred[reason] += len(some)
        return Report(
            received=len(events),
            delivered=settled.delivered,
            late=settled.late,
            dropped=self.dropped,
            matched=self.matched,
            rejected={reason: len(some) for reason, some in settled.rejected.items()},
            deferred=dict(deferred),
            errored={reason: len(some) for reason, some in settled.errored.items()},
            newest=max(map(_timestamp, events), default=0),
            failure=failure,
            hourly=self.hourly(),
        )

    def hourly(self) -> tuple[HourlyCount, ...]:
        """Count the log events by hour: the hour of the newest one first."""
        settled, events = self.settled, self.data.log_events
        if not events:
            return ()
        rejected = {reason: len(some) for reason, some in settled.rejected.items()}
        kept = [
            *((reason, some) for (reason, _), some in settled.deferred.items()),
            *settled.errored.items(),
        ]
        saved = Counter(event.timestamp // HOUR_MS for _, some in kept for event in some)
        reasons = [
            *(("dropped", *each) for each in self.dropped.items()),
            *(("rejected", *each) for each in rejected.items()),
            *(("saved", reason, len(some)) for reason, some in kept),
        ]
        newest = max(map(_timestamp, events)) // HOUR_MS
        whole = HourlyCount(
            account=self.data.owner,
            log_group=self.data.log_group,
            hour=newest,
            received=len(events),
            delivered=settled.delivered,
            dropped=sum(self.dropped.values()),
            rejected=sum(rejected.values()),
            saved=saved[newest],
            entries=settled.entries.get(newest, 0),
            elsewhere=0 if self.tenants <= {self.own_tenant} else sum(settled.entries.values()),
            reasons=sum_counts({f"{outcome}/{reason}": n} for outcome, reason, n in reasons),
        )
        others = sorted({*settled.entries, *saved} - {newest})
        return (whole, *(_of_hour(whole, hour, saved, settled.entries) for hour in others))


def _of_hour(
    whole: HourlyCount, hour: int, saved: Mapping[int, int], entries: Mapping[int, int]
) -> HourlyCount:
    return HourlyCount(
        account=whole.account,
        log_group=whole.log_group,
        hour=hour,
        saved=saved.get(hour, 0),
        entries=entries.get(hour, 0),
    )


def settle(outcomes: Iterable[Outcome]) -> Settled:
    """Sum up outcomes of entries by log event."""
    each = [*outcomes]
    return _all_delivered(each) or _settle(each)


def _all_delivered(outcomes: Sequence[Outcome]) -> Settled | None:
    """Count entries, if all are delivered and each is a whole log event; else None."""
    delivered = late = 0
    hours = Counter[int]()
    for outcome in outcomes:
        match outcome:
            case Delivered(entries=Columns() as entries, late=is_late):
                delivered += len(entries)
                late += is_late * len(entries)
                count_hours(hours, entries)
            case _:
                return None
    return Settled(delivered, late, entries=dict(hours))


def _settle(outcomes: Iterable[Outcome]) -> Settled:
    delivered = Counter[bool]()
    hours = Counter[int]()
    rejected: dict[str, list[LogEvent]] = {}
    deferred: dict[Deferral, list[LogEvent]] = {}
    errored: dict[str, list[LogEvent]] = {}
    counted: set[int] = set()
    undelivered: set[int] = set()
    for outcome in sorted(outcomes, key=_severity, reverse=True):
        events = {id(entry.event): entry.event for entry in outcome.entries}
        fresh = [event for key, event in events.items() if key not in counted]
        counted |= events.keys()
        if not isinstance(outcome, Delivered):
            undelivered |= events.keys()
        match outcome:
            case Delivered(late=late):
                delivered[late] += len(fresh)
                # The entries of a log event that comes again are counted then.
                last = [each for each in outcome.entries if id(each.event) not in undelivered]
                count_hours(hours, last)
            case Rejected(reason=reason):
                rejected.setdefault(reason, []).extend(fresh)
            case Deferred(reason=reason, due=due):
                deferred.setdefault((reason, due), []).extend(fresh)
            case Errored(reason=reason):
                errored.setdefault(reason, []).extend(fresh)
            case _:
                assert_never(outcome)
    # Leave out reasons without a log event.
    return Settled(
        delivered.total(),
        delivered[True],
        {reason: events for reason, events in rejected.items() if events},
        {waiting: events for waiting, events in deferred.items() if events},
        {reason: events for reason, events in errored.items() if events},
        dict(hours),
    )


def settle_each(outcomes: Iterable[Outcome], payload_of: Mapping[int, int]) -> dict[int, Settled]:
    """Sum up the outcomes of several payloads by log event, for each payload.

    `payload_of` maps the `id()` of a log event to the number of its payload.
    """
    divided: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        entries: dict[int, list[Entry]] = {}
        for entry in outcome.entries:
            entries.setdefault(payload_of[id(entry.event)], []).append(entry)
        for payload, some in entries.items():
            divided.setdefault(payload, []).append(replace(outcome, entries=some))
    return {payload: settle(some) for payload, some in divided.items()}


def _severity(outcome: Outcome) -> int:
    match outcome:
        case Delivered(late=late):
            return int(late)
        case Rejected():
            return 2
        case Deferred():
            return 3
        case Errored():
            return 4
        case _:
            assert_never(outcome)
