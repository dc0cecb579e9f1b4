from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.audit.lag import unmatched
from loki_shipper.audit.model import Window

WINDOW = Window(10, 20, 26)


def test_lines_that_come_out_an_hour_later_are_matched() -> None:
    assert unmatched({12: 5}, {13: 5}, WINDOW, 1) == {}
    assert unmatched({12: 5}, {14: 5}, WINDOW, 1) == {12: 5}


def test_lines_at_both_edges_of_the_window_are_matched() -> None:
    assert unmatched({9: 3, 19: 4}, {10: 3, 20: 4}, WINDOW, 1) == {}


def test_lines_around_the_window_are_not_reported() -> None:
    assert unmatched({9: 3, 20: 4}, {}, WINDOW, 1) == {}


def test_the_newest_lines_come_out_first_if_that_leaves_as_few_open() -> None:
    assert unmatched({12: 100, 14: 5}, {15: 5}, WINDOW, 24) == {12: 100}


LINES = st.lists(st.tuples(st.integers(8, 20), st.integers(1, 50), st.integers(0, 3)))


@given(LINES)
def test_delay_alone_is_never_a_loss(lines: list[tuple[int, int, int]]) -> None:
    inflow, outflow = Counter[int](), Counter[int]()
    for hour, count, delay in lines:
        inflow[hour] += count
        outflow[hour + delay] += count
    assert unmatched(inflow, outflow, WINDOW, 3) == {}


@given(LINES, st.integers(10, 19), st.integers(1, 50))
def test_a_loss_is_counted_whatever_the_delay(
    lines: list[tuple[int, int, int]], hour: int, lost: int
) -> None:
    inflow, outflow = Counter({hour: lost}), Counter[int]()
    for at, count, delay in lines:
        inflow[at] += count
        outflow[at + delay] += count
    found = unmatched(inflow, outflow, WINDOW, 24)
    # Lines of the hour before the window may seem to be the lost ones.
    assert sum(found.values()) <= lost
    if all(at >= 10 for at, _, _ in lines):
        assert sum(found.values()) == lost
