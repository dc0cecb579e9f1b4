from collections import Counter
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import Entry, LogEvent
from loki_shipper.shipper.delivery.hourly import HOUR_NS
from loki_shipper.shipper.delivery.outcome import (
    Deferred,
    Delivered,
    Errored,
    Outcome,
    Rejected,
    Settled,
    settle,
    settle_each,
)
from loki_shipper.shipper.entries.columns import Columns


def event(name: str = "") -> LogEvent:
    return LogEvent(name, 0, "same")


def entry(of: LogEvent, timestamp: int = 0) -> Entry:
    return Entry(timestamp, "line", (), of)


A, B, C, D = (event(name) for name in "abcd")


def test_nothing_adds_up_to_nothing() -> None:
    assert settle([]) == Settled()


def test_each_event_counts_where_its_entry_went() -> None:
    outcomes: list[Outcome] = [
        Errored([entry(C)], "tls"),
        Delivered([entry(A)]),
        Deferred([entry(D)], "too_new", 5),
        Rejected([entry(B)], "too_old"),
    ]
    assert settle(outcomes) == Settled(
        delivered=1,
        rejected={"too_old": [B]},
        deferred={("too_new", 5): [D]},
        errored={"tls": [C]},
        entries={0: 1},
    )


def test_the_late_are_among_the_delivered() -> None:
    assert settle([Delivered([entry(A)]), Delivered([entry(B)], late=True)]) == Settled(
        delivered=2, late=1, entries={0: 2}
    )


def test_equal_events_are_two() -> None:
    assert settle([Delivered([entry(event()), entry(event())])]).delivered == 2


def test_an_event_of_several_entries_counts_once_where_the_worst_went() -> None:
    one, two, three = entry(A, 1), entry(A, 2), entry(A, 3)
    delivered, late = Delivered([one]), Delivered([two], late=True)
    rejected, errored = Rejected([two], "too_large"), Errored([three], "tls")
    deferred = Deferred([two], "too_new", 5)
    both = Settled(delivered=1, late=1, entries={0: 2})
    assert settle([delivered, late]) == settle([late, delivered]) == both
    assert settle([rejected, delivered]) == Settled(rejected={"too_large": [A]})
    assert settle([deferred, rejected]) == Settled(deferred={("too_new", 5): [A]})
    assert settle([errored, deferred, delivered]) == Settled(errored={"tls": [A]})


def test_outcomes_that_payloads_share_are_divided_among_them() -> None:
    outcomes: list[Outcome] = [
        Delivered([entry(A), entry(B)], late=True),
        Errored([entry(C), entry(D)], "tls"),
    ]
    settled = settle_each(outcomes, {id(A): 0, id(B): 1, id(C): 1, id(D): 2})
    assert settled == {
        0: Settled(delivered=1, late=1, entries={0: 1}),
        1: Settled(delivered=1, late=1, errored={"tls": [C]}, entries={0: 1}),
        2: Settled(errored={"tls": [D]}),
    }


def test_entries_are_counted_by_the_hour_of_their_time() -> None:
    end = HOUR_NS - 1
    many = Columns([end, end + 1, end + 2], ["x"] * 3, [1] * 3, [0] * 3, [A, B, C], [()])
    assert settle([Delivered(many)]).entries == {0: 1, 1: 2}
    assert settle([Delivered([entry(A, end), entry(B, end + 1)])]).entries == {0: 1, 1: 1}
    assert settle([Delivered([entry(A, end)]), Errored([entry(B)], "tls")]).entries == {0: 1}


KINDS = st.sampled_from(["delivered", "late", "too_old", "too_long", "too_new", "tls", "denied"])


def outcome(kind: str, entries: list[Entry]) -> Outcome:
    match kind:
        case "delivered" | "late":
            return Delivered(entries, late=kind == "late")
        case "too_old" | "too_long":
            return Rejected(entries, kind)
        case "too_new":
            return Deferred(entries, kind, 5)
        case _:
            return Errored(entries, kind)


@given(st.lists(st.tuples(KINDS, st.lists(st.integers(0, 9), min_size=1))))
def test_every_event_is_counted_once(parts: list[tuple[str, list[int]]]) -> None:
    events = [event() for _ in range(10)]
    settled = settle(outcome(kind, [entry(events[n]) for n in which]) for kind, which in parts)
    seen = {n for _, which in parts for n in which}
    errored = [*chain(*settled.errored.values())]
    kept = [*chain(*settled.rejected.values(), *settled.deferred.values()), *errored]
    assert settled.delivered + len(kept) == len(seen)
    assert max(Counter(map(id, kept)).values(), default=1) == 1
    failed = {n for kind, which in parts if kind in {"tls", "denied"} for n in which}
    assert {id(each) for each in errored} == {id(events[n]) for n in failed}
