"""What became of entries, and what it adds up to."""

from collections import Counter
from collections.abc import Iterable
from typing import assert_never

from msgspec import Struct

from loki_shipper.model import Entry, LogEvent


class Delivered(Struct, frozen=True):
    """Loki holds the entries; `late`: in the sibling stream."""

    entries: list[Entry]
    late: bool = False


class Rejected(Struct, frozen=True):
    """Loki will never take the entries: the data's fault."""

    entries: list[Entry]
    reason: str


class Errored(Struct, frozen=True):
    """The entries are worth another try: the world's fault, or ours. Loki may hold some of them."""

    entries: list[Entry]
    reason: str


type Outcome = Delivered | Rejected | Errored


class Report(Struct, frozen=True, kw_only=True):
    """What became of the log events of an invocation, by reason where there is one.

    `received == delivered + dropped + rejected + errored`, always; the `late` are among the
    delivered. `matched` counts how often each rule did something. `newest` is the newest event's
    time in ms since 1970. `undecodable` says why a record was kept as it came, `failure` why the
    invocation must fail, so that Lambda keeps the event.
    """

    received: int = 0
    delivered: int = 0
    late: int = 0
    dropped: dict[str, int] = {}
    rejected: dict[str, int] = {}
    errored: dict[str, int] = {}
    matched: dict[str, int] = {}
    newest: int = 0
    undecodable: str | None = None
    failure: str | None = None


class Settled(Struct, frozen=True):
    """What became of log events; one of several entries counts where the worst of them went."""

    delivered: int
    late: int
    rejected: dict[str, list[LogEvent]]
    errored: dict[str, list[LogEvent]]

    @property
    def errored_events(self) -> list[LogEvent]:
        """List what is worth another try, whatever the reason."""
        return [event for events in self.errored.values() for event in events]


def settle(outcomes: Iterable[Outcome]) -> Settled:
    """Add up what became of entries to what became of their log events."""
    delivered = Counter[bool]()
    rejected: dict[str, list[LogEvent]] = {}
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
            case Errored(reason=reason):
                errored.setdefault(reason, []).extend(fresh)
            case _:
                assert_never(outcome)
    # A reason stands only where a log event counts for it.
    return Settled(
        delivered.total(),
        delivered[True],
        {reason: events for reason, events in rejected.items() if events},
        {reason: events for reason, events in errored.items() if events},
    )


def _severity(outcome: Outcome) -> int:
    match outcome:
        case Delivered(late=late):
            return int(late)
        case Rejected():
            return 2
        case Errored():
            return 3
        case _:
            assert_never(outcome)
