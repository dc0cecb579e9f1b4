"""Log events become entries, and long lines several."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.local.sample import event_id
from loki_shipper.model import Entry, LogData, LogEvent, Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, Transformed, transform
from loki_shipper.shipper.rules.model import Rules

NOW = 1_795_206_163_123
STREAM = Stream(None, (("log_group", "g"),))
SHARED: Pairs = (("log_stream", "s"),)


def settings_with(**fields: Any) -> Settings:
    return Settings(loki_url="http://loki", **fields)


def event(message: str, index: int = 0, timestamp: int = NOW, call: int = 0) -> LogEvent:
    return LogEvent(event_id(timestamp, timestamp + 400, call, index), timestamp, message)


def transformed(*events: LogEvent, **fields: Any) -> Transformed:
    data = LogData("DATA_MESSAGE", "123456789012", "g", "s", [*events])
    return transform(
        data, STREAM, SHARED, rule_state=RuleState(Rules(), {}), settings=settings_with(**fields)
    )


def entries(*events: LogEvent, **fields: Any) -> Sequence[Entry]:
    [(stream, found)] = transformed(*events, **fields).streams
    assert stream == STREAM
    return found


def test_a_log_event_becomes_an_entry() -> None:
    hello = event("hello", index=3, call=5)
    call = (NOW << 128) + (NOW + 400 << 64) + 5
    ns = NOW * 1_000_000 + call % 5**16 % 840_000 + 3 * 16
    entry = Entry(ns, "hello", SHARED, hello)
    assert transformed(hello) == Transformed([(STREAM, [entry])], {})


def test_one_trailing_newline_is_removed() -> None:
    assert [entry.line for entry in entries(event("a\n"), event("b\n\n"), event("\nc"))] == [
        "a",
        "b\n",
        "\nc",
    ]


def test_empty_lines_are_dropped_and_counted() -> None:
    got = transformed(event(""), event("\n"), event(" "))
    [(_, kept)] = got.streams
    assert ([entry.line for entry in kept], got.dropped) == ([" "], {"empty": 2})


def test_a_line_at_the_limit_is_not_split() -> None:
    assert [entry.line for entry in entries(event("x" * 2048), max_line_bytes=2048)] == ["x" * 2048]


def test_a_longer_line_is_split_into_numbered_parts() -> None:
    long = event("x" * 2048 + "y" * 2048 + "z")
    got = entries(long, max_line_bytes=2048)
    assert [entry.line for entry in got] == ["x" * 2048, "y" * 2048, "z"]
    assert [dict(entry.metadata) for entry in got] == [
        {"log_stream": "s", "part": f"{number}/3"} for number in (1, 2, 3)
    ]
    assert [entry.timestamp - got[0].timestamp for entry in got] == [0, 1, 2]
    assert all(entry.event is long for entry in got)


def test_identical_parts_get_different_times_however_many_and_without_metadata() -> None:
    got = entries(event("x" * 100_000), max_line_bytes=1024, structured_metadata=False)
    assert len(got) == 98
    assert len({entry.timestamp for entry in got}) == 98


def test_lines_of_many_identical_parts_keep_them_all() -> None:
    """Loki keeps one entry of those with the same time and text."""
    lines = [event("x" * 40_000, index=index) for index in range(4)]
    got = entries(*lines, event("y", index=4), max_line_bytes=1024, structured_metadata=False)
    assert len(got) == 4 * 40 + 1
    assert len({(entry.timestamp, entry.line) for entry in got}) == len(got)
    assert [entry.line for entry in got][-1] == "y"
    assert [entry.timestamp for entry in got] == sorted(entry.timestamp for entry in got)


def test_lines_that_no_long_line_overlaps_keep_their_times() -> None:
    far = event("z", index=9_000)
    [alone] = entries(far)
    got = entries(event("x" * 40_000), far, max_line_bytes=1024, structured_metadata=False)
    assert got[-1].timestamp == alone.timestamp


def test_a_line_is_split_between_characters() -> None:
    got = entries(event("ab" + "€" * 1024), max_line_bytes=1024)
    assert [len(entry.line.encode()) for entry in got] == [1022, 1023, 1023, 6]


def test_a_longer_line_may_be_truncated_instead() -> None:
    [got] = entries(event("€" * 2000), max_line_bytes=1024, long_lines="truncate")
    assert got.line.endswith("€… [truncated from 6000 bytes]")
    assert 1020 < len(got.line.encode()) <= 1024
    assert got.metadata == SHARED


def test_metadata_can_be_switched_off() -> None:
    got = entries(
        event("x" * 3000), event("y", index=1), max_line_bytes=2048, structured_metadata=False
    )
    assert [entry.metadata for entry in got] == [(), (), ()]


def test_entries_are_in_the_order_of_time() -> None:
    got = entries(event("b", timestamp=NOW + 1), event("c", timestamp=NOW + 2), event("a"))
    assert [entry.line for entry in got] == ["a", "b", "c"]


def test_events_of_one_call_keep_their_order_within_a_millisecond() -> None:
    got = entries(*(event(f"{n}", index=n) for n in range(10_000)))
    assert [entry.line for entry in got] == [f"{n}" for n in range(10_000)]
    assert all(a.timestamp + 16 == b.timestamp for a, b in pairwise(got))


def test_identical_lines_of_one_millisecond_get_different_times() -> None:
    got = entries(*(event("same", index=n) for n in range(50)))
    assert len({entry.timestamp for entry in got}) == 50


LINES = st.text(st.sampled_from("a€ß\N{PENGUIN}\n\0"), max_size=3000)


@given(LINES, st.sampled_from([1024, 1025, 1027, 4096]))
def test_parts_joined_are_the_line_again(line: str, limit: int) -> None:
    got = entries(event(line), max_line_bytes=limit)
    assert "".join(entry.line for entry in got) == line.removesuffix("\n")
    assert all(0 < len(entry.line.encode()) <= limit for entry in got)
    stamps = [entry.timestamp for entry in got]
    assert stamps == sorted(stamps)
    assert len({(entry.timestamp, entry.line, entry.metadata) for entry in got}) == len(got)


@given(LINES, st.sampled_from([1024, 1025, 4096]))
def test_a_truncated_line_fits(line: str, limit: int) -> None:
    for entry in entries(event(line), max_line_bytes=limit, long_lines="truncate"):
        assert len(entry.line.encode()) <= limit


@given(st.lists(st.tuples(st.integers(0, 3), LINES), max_size=8))
def test_each_event_becomes_entries_or_is_counted(lines: list[tuple[int, str]]) -> None:
    events = [event(line, index=n, timestamp=NOW + ms) for n, (ms, line) in enumerate(lines)]
    got = transformed(*events, max_line_bytes=1024)
    shipped = {id(entry.event) for _, kept in got.streams for entry in kept}
    assert len(shipped) + got.dropped.get("empty", 0) == len(events)
    assert got == transformed(*events, max_line_bytes=1024)
