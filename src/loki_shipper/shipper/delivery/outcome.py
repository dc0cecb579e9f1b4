"""The outcomes of entries, and their sums for a payload and for an invocation."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import Entry, LogData, LogEvent
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
    the event again. If Lambda takes an answer for each record, `retry` names the records.
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


def total(reports: Sequence[Report]) -> Report:
    """Add reports up to one."""
    if len(reports) == 1:
        return reports[0]
    failures = dict.fromkeys(each.failure for each in reports if each.failure is not None)
    return Report(
        received=sum(each.received for each in reports),
        delivered=sum(each.delivered for each in reports),
        late=sum(each.late for each in reports),
        dropped=_sums(each.dropped for each in reports),
        rejected=_sums(each.rejected for each in reports),
        deferred=_sums(each.deferred for each in reports),
        errored=_sums(each.errored for each in reports),
        matched=_sums(each.matched for each in reports),
        newest=max((each.newest for each in reports), default=0),
        undecodable=_sums(each.undecodable for each in reports),
        failure="; ".join(failures) or None,
        retry=tuple(chain.from_iterable(each.retry for each in reports)),
    )


def _sums(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    sums = Counter[str]()
    for each in counts:
        sums.update(each)
    return dict(sums)


type Deferral = tuple[str, int | None]
"""The reason of a deferral, and its end in ms since 1970 if that is known."""


class Settled(Struct, frozen=True):
    """Log events by outcome. A log event of several entries has the worst of their outcomes."""

    delivered: int = 0
    late: int = 0
    rejected: dict[str, list[LogEvent]] = {}
    deferred: dict[Deferral, list[LogEvent]] = {}
    errored: dict[str, list[LogEvent]] = {}


class Shipped(Struct, frozen=True):
    """A payload, the outcomes of its log events, and the effects of rules on it.

    `dropped` counts dropped log events by reason, `matched` the matches of each rule. `tenants` are
    the tenants of its streams.
    """

    data: LogData
    settled: Settled = Settled()
    dropped: dict[str, int] = {}
    matched: dict[str, int] = {}
    tenants: frozenset[str | None] = frozenset()

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
        )


def settle(outcomes: Iterable[Outcome]) -> Settled:
    """Sum up outcomes of entries by log event."""
    each = [*outcomes]
    return _all_delivered(each) or _settle(each)


def _all_delivered(outcomes: Sequence[Outcome]) -> Settled | None:
    """Count entries, if all are delivered and each is a whole log event; else None."""
    delivered = late = 0
    for outcome in outcomes:
        match outcome:
            case Delivered(entries=Columns() as entries, late=is_late):
                delivered += len(entries)
                late += is_late * len(entries)
            case _:
                return None
    return Settled(delivered, late)


def _settle(outcomes: Iterable[Outcome]) -> Settled:
    delivered = Counter[bool]()
    rejected: dict[str, list[LogEvent]] = {}
    deferred: dict[Deferral, list[LogEvent]] = {}
    errored: dict[str, list[LogEvent]] = {}
    counted: set[int] = set()
    for outcome in sorted(outcomes, key=_severity, reverse=True):
        events = {id(entry.event): entry.event for entry in outcome.entries}
        fresh = [event for key, event in events.items() if key not in counted]
        counted |= events.keys()
        match outcome:
            case Delivered(late=late):
                delivered[late] += len(fresh)
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
