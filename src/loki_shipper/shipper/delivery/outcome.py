"""What became of entries, and what it adds up to."""

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
    """Loki holds the entries; `late`: in a late sibling of their stream."""

    entries: Sequence[Entry]
    late: bool = False


class Rejected(Struct, frozen=True):
    """Loki will never take the entries: the data's fault."""

    entries: Sequence[Entry]
    reason: str


class Errored(Struct, frozen=True):
    """The entries are worth another try: the world's fault, or ours. Loki may hold some of them."""

    entries: Sequence[Entry]
    reason: str


class Deferred(Struct, frozen=True):
    """The entries are to be kept, as their time has not come: nobody's fault.

    Loki takes them from the time `due` on, in ms since 1970; None: it depends on other things.
    """

    entries: Sequence[Entry]
    reason: str
    due: int | None = None


type Outcome = Delivered | Rejected | Deferred | Errored


class Report(Struct, frozen=True, kw_only=True):
    """What became of the log events of an invocation, by reason where there is one.

    `received == delivered + dropped + rejected + deferred + errored`, always; the `late` are among
    the delivered. The `deferred` are kept in the bucket until their time comes. `matched` counts
    how often each rule did something. `newest` is the newest event's time in ms since 1970.
    `undecodable` counts the records that could not be decoded. `failure` says why Lambda must send
    the event again. Where Lambda takes an answer for each record, `retry` names the records.
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


type Waiting = tuple[str, int | None]
"""Why log events are deferred, and until when, in ms since 1970, where that is known."""


class Settled(Struct, frozen=True):
    """What became of log events; one of several entries counts where the worst of them went."""

    delivered: int = 0
    late: int = 0
    rejected: dict[str, list[LogEvent]] = {}
    deferred: dict[Waiting, list[LogEvent]] = {}
    errored: dict[str, list[LogEvent]] = {}


class Shipped(Struct, frozen=True):
    """What became of a payload: what is `settled` of its log events, and what rules did.

    `dropped` counts the log events that were left out, by reason, `matched` how often each rule did
    something. `tenants` are those that its lines were for.
    """

    data: LogData
    settled: Settled = Settled()
    dropped: dict[str, int] = {}
    matched: dict[str, int] = {}
    tenants: frozenset[str | None] = frozenset()

    def report(self, *, failure: str | None) -> Report:
        """Report it in numbers."""
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
    """Add up what became of entries to what became of their log events."""
    each = [*outcomes]
    return _all_delivered(each) or _settle(each)


def _all_delivered(outcomes: Sequence[Outcome]) -> Settled | None:
    """Count entries where all are delivered and each is a log event of its own; else None."""
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
    deferred: dict[Waiting, list[LogEvent]] = {}
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
    # A reason stands only where a log event counts for it.
    return Settled(
        delivered.total(),
        delivered[True],
        {reason: events for reason, events in rejected.items() if events},
        {waiting: events for waiting, events in deferred.items() if events},
        {reason: events for reason, events in errored.items() if events},
    )


def settle_each(outcomes: Iterable[Outcome], payload_of: Mapping[int, int]) -> dict[int, Settled]:
    """Settle the outcomes of several payloads, by payload.

    `payload_of` gives the payload of a log event by its `id()`.
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
