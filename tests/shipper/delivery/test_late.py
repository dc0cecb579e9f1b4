from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import Batch, Entry, LogEvent, Stream
from loki_shipper.shipper.delivery.late import is_late, split_late

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
DAY = 24 * 60 * MINUTE
# Saturday, 2026-11-21T10:00:00Z
NOW = int(datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp()) * SECOND
STREAM = Stream("t", (("app", "a"), ("zone", "z")))


def batch(*ages: int, stream: Stream = STREAM) -> Batch:
    """A batch of entries that are so old, in ns."""
    entries = [Entry(NOW - age, str(age), (), LogEvent("", 0, "")) for age in sorted(ages)[::-1]]
    return Batch(stream, entries)


def split(*ages: int, minutes: int = 30) -> dict[str | None, list[int]]:
    """Say which ages went to which late stream, or to the stream itself (None)."""
    parts = split_late(batch(*ages), now=NOW, minutes=minutes)
    return {
        dict(part.stream.labels).get("late"): [int(entry.line) for entry in part.entries]
        for part in parts
    }


def test_what_is_young_stays_in_its_stream() -> None:
    one = batch(0, 45 * MINUTE)
    assert split_late(one, now=NOW, minutes=30) == [one]


def test_what_is_older_than_three_quarters_of_an_hour_is_late() -> None:
    assert split(0, 45 * MINUTE, 45 * MINUTE + 1) == {
        "Sat 09:00": [45 * MINUTE + 1],
        None: [45 * MINUTE, 0],
    }


def test_the_label_names_the_half_hour_in_utc() -> None:
    assert split(60 * MINUTE, 60 * MINUTE + 1, 90 * MINUTE, DAY) == {
        "Fri 10:00": [DAY],
        "Sat 08:30": [90 * MINUTE, 60 * MINUTE + 1],
        "Sat 09:00": [60 * MINUTE],
    }


def test_what_is_older_than_a_week_has_the_date_so_that_it_meets_nobody() -> None:
    assert split(7 * DAY - 61 * MINUTE, 7 * DAY, 14 * DAY) == {
        "2026-11-07 10:00": [14 * DAY],
        "2026-11-14 10:00": [7 * DAY],
        "Sat 11:00": [7 * DAY - 61 * MINUTE],
    }


@pytest.mark.parametrize(
    ("minutes", "age", "label"),
    [(5, 8, "Sat 09:50"), (20, 31, "Sat 09:20"), (120, 181, "Sat 06:00")],
)
def test_how_long_a_late_stream_is_can_be_set(minutes: int, age: int, label: str) -> None:
    assert split(age * MINUTE, minutes=minutes) == {label: [age * MINUTE]}
    assert split((age - 1) * MINUTE, minutes=minutes).keys() <= {None, label}


def test_a_stream_that_is_late_already_is_left_as_it_is() -> None:
    late = Stream("t", (*STREAM.labels, ("late", "Sat 03:00")))
    one = batch(7 * 60 * MINUTE, stream=late)
    assert split_late(one, now=NOW, minutes=30) == [one]
    assert (is_late(late), is_late(STREAM)) == (True, False)


AGES = st.lists(st.integers(0, 30 * DAY), min_size=1, max_size=50)


@given(AGES, st.sampled_from([5, 10, 15, 20, 30, 60, 120]))
def test_whatever_comes_no_stream_holds_entries_that_lie_too_far_apart(
    ages: list[int], minutes: int
) -> None:
    """A quarter of `max_chunk_age` is `minutes`; Loki refuses what is two of them behind."""
    parts = split_late(batch(*ages), now=NOW, minutes=minutes)
    assert [e.line for part in parts for e in part.entries] == [
        e.line for e in batch(*ages).entries
    ]
    for part in parts:
        times = [entry.timestamp for entry in part.entries]
        assert max(times) - min(times) < 2 * minutes * MINUTE
        assert is_late(part.stream) is (NOW - min(times) > minutes * 3 // 2 * MINUTE)


@st.composite
def pushes(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """How long a late stream is, and when entries of which time are pushed, in that order.

    The entries lie within some hours of one another, or weeks. Stock Loki takes what is ten minutes
    ahead, a third of its half hour.
    """
    minutes = draw(st.sampled_from([5, 30, 120]))
    weeks = st.integers(0, 3).map(lambda week: week * 7 * DAY)
    near = st.integers(0, 4 * minutes * MINUTE)
    delay = st.one_of(near, weeks) | st.just(-minutes * MINUTE // 3)
    pushed = st.builds(
        lambda week, at, wait, more: (week + at + wait + more, week + at), weeks, near, delay, near
    )
    return minutes, sorted(draw(st.lists(pushed, min_size=2)))


@given(pushes())
def test_nothing_is_ever_too_far_behind_though_loki_remembers_every_stream(
    given_: tuple[int, list[tuple[int, int]]],
) -> None:
    minutes, pushed = given_
    newest: dict[Stream, int] = {}
    for at, time in pushed:
        one = Batch(STREAM, [Entry(NOW + time, "", (), LogEvent("", 0, ""))])
        [part] = split_late(one, now=NOW + at, minutes=minutes)
        newest[part.stream] = max(newest.get(part.stream, 0), NOW + time)
        assert NOW + time >= newest[part.stream] - 2 * minutes * MINUTE


@given(pushes(), st.lists(st.sampled_from([5, 15, 30]), min_size=1))
def test_nothing_is_too_far_behind_either_where_the_length_is_changed_meanwhile(
    given_: tuple[int, list[tuple[int, int]]], lengths: list[int]
) -> None:
    """Streams of both lengths may have the same label; Loki's window fits the longest."""
    newest: dict[Stream, int] = {}
    for number, (at, time) in enumerate(given_[1]):
        one = Batch(STREAM, [Entry(NOW + time, "", (), LogEvent("", 0, ""))])
        minutes = lengths[number % len(lengths)]
        [part] = split_late(one, now=NOW + at, minutes=minutes)
        if time - at > 10 * MINUTE:
            # Loki refuses it, and it moves no window on.
            continue
        newest[part.stream] = max(newest.get(part.stream, 0), NOW + time)
        assert NOW + time >= newest[part.stream] - 60 * MINUTE
