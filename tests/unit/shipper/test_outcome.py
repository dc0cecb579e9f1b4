from collections import Counter
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import Entry, LogEvent
from loki_shipper.shipper.outcome import Delivered, Errored, Outcome, Rejected, Settled, settle


def event(name: str = "") -> LogEvent:
    return LogEvent(name, 0, "same")


def entry(of: LogEvent, timestamp: int = 0) -> Entry:
    return Entry(timestamp, "line", (), of)


A, B, C = event("a"), event("b"), event("c")


def test_nothing_adds_up_to_nothing() -> None:
    assert settle([]) == Settled(0, 0, {}, {})


def test_each_event_counts_where_its_entry_went() -> None:
    outcomes: list[Outcome] = [
        Errored([entry(C)], "tls"),
        Delivered([entry(A)]),
        Rejected([entry(B)], "too_old"),
    ]
    assert settle(outcomes) == Settled(1, 0, {"too_old": [B]}, {"tls": [C]})


def test_the_late_are_among_the_delivered() -> None:
    assert settle([Delivered([entry(A)]), Delivered([entry(B)], late=True)]) == Settled(
        2, 1, {}, {}
    )


def test_equal_events_are_two() -> None:
    assert settle([Delivered([entry(event()), entry(event())])]).delivered == 2


def test_an_event_of_several_entries_counts_once_where_the_worst_went() -> None:
    one, two, three = entry(A, 1), entry(A, 2), entry(A, 3)
    delivered, late = Delivered([one]), Delivered([two], late=True)
    rejected, errored = Rejected([two], "too_large"), Errored([three], "tls")
    assert settle([delivered, late]) == settle([late, delivered]) == Settled(1, 1, {}, {})
    assert settle([rejected, delivered]) == Settled(0, 0, {"too_large": [A]}, {})
    assert settle([errored, rejected, delivered]) == Settled(0, 0, {}, {"tls": [A]})


def test_what_errored_is_listed_whatever_the_reason() -> None:
    settled = settle([Errored([entry(A)], "tls"), Errored([entry(B), entry(C)], "denied")])
    assert settled.errored_events == [A, B, C]


KINDS = st.sampled_from(["delivered", "late", "too_old", "too_long", "tls", "denied"])


def outcome(kind: str, entries: list[Entry]) -> Outcome:
    match kind:
        case "delivered" | "late":
            return Delivered(entries, late=kind == "late")
        case "too_old" | "too_long":
            return Rejected(entries, kind)
        case _:
            return Errored(entries, kind)


@given(st.lists(st.tuples(KINDS, st.lists(st.integers(0, 9), min_size=1))))
def test_every_event_is_counted_once(parts: list[tuple[str, list[int]]]) -> None:
    events = [event() for _ in range(10)]
    settled = settle(outcome(kind, [entry(events[n]) for n in which]) for kind, which in parts)
    seen = {n for _, which in parts for n in which}
    kept = [*chain(*settled.rejected.values(), *settled.errored.values())]
    assert settled.delivered + len(kept) == len(seen)
    assert max(Counter(map(id, kept)).values(), default=1) == 1
    failed = {n for kind, which in parts if kind in {"tls", "denied"} for n in which}
    assert {id(each) for each in settled.errored_events} == {id(events[n]) for n in failed}
