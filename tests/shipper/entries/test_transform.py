import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.local.sample import event_id
from loki_shipper.model import Entry, LogData, LogEvent, Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, Transformed, offsets, transform
from loki_shipper.shipper.rules.parse import Rules

NOW = 1_795_206_163_123
STREAM = Stream(None, (("log_group", "g"),))
SHARED: Pairs = (("log_stream", "s"),)


def read(**fields: Any) -> Settings:
    return Settings(loki_url="http://loki", **fields)


def event(message: str, index: int = 0, timestamp: int = NOW, call: int = 0) -> LogEvent:
    return LogEvent(event_id(timestamp, timestamp + 400, call, index), timestamp, message)


def transformed(*events: LogEvent, **fields: Any) -> Transformed:
    data = LogData("DATA_MESSAGE", "123456789012", "g", "s", [*events])
    return transform(
        data, STREAM, SHARED, rule_state=RuleState(Rules(), {}), settings=read(**fields)
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


def test_one_trailing_newline_goes() -> None:
    assert [entry.line for entry in entries(event("a\n"), event("b\n\n"), event("\nc"))] == [
        "a",
        "b\n",
        "\nc",
    ]


def test_empty_lines_are_dropped_and_counted() -> None:
    got = transformed(event(""), event("\n"), event(" "))
    [(_, kept)] = got.streams
    assert ([entry.line for entry in kept], got.dropped) == ([" "], {"empty": 2})


def test_a_line_at_the_limit_is_whole() -> None:
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


def test_identical_parts_stay_apart_however_many_and_without_metadata() -> None:
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


def test_lines_that_no_long_one_runs_into_stay_where_they_are() -> None:
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


def test_identical_lines_of_one_millisecond_stay_apart() -> None:
    got = entries(*(event("same", index=n) for n in range(50)))
    assert len({entry.timestamp for entry in got}) == 50


def test_calls_of_one_millisecond_are_spread() -> None:
    assert len({*offsets([event("same", call=n) for n in range(1000)])}) > 990


def test_calls_that_follow_each_other_do_not_run_into_each_other() -> None:
    """A busy group has many calls a millisecond: few of their lines fall on one nanosecond."""
    draw = random.Random(1)
    events = [
        event("same", index=index, call=call)
        for call in (draw.getrandbits(64) for _ in range(100))
        for index in range(20)
    ]
    assert len({*offsets(events)}) > 1_950


def test_places_of_calls_are_as_even_as_chance_makes_them() -> None:
    draw = random.Random(2)
    places = offsets([event("", call=draw.getrandbits(64)) for _ in range(84_000)])
    tenths = Counter(place // 84_000 for place in places)
    assert sorted(tenths) == [*range(10)]
    assert all(8_000 < count < 8_800 for count in tenths.values())


@pytest.mark.parametrize("id_", ["", "eventId1", 7, "0" * 56, "٣" * 56, "9" * 55, "9" * 57])
def test_ids_of_another_shape_have_the_place_in_the_payload(id_: str | int) -> None:
    of_aws = event("").id
    for ids in ([id_] * 3, [id_, of_aws, of_aws], [of_aws, of_aws, id_]):
        assert offsets([LogEvent(each, NOW, "") for each in ids]) == [0, 16, 32]
    assert offsets([LogEvent(id_, NOW, "")] * 70_000)[-1] == 999_984


@pytest.mark.parametrize("id_", ["", "eventId1", 7])
def test_an_id_without_digits_among_others_leaves_all_their_place_in_the_payload(
    id_: str | int,
) -> None:
    ids = [event("").id, id_, event("").id]
    assert offsets([LogEvent(each, NOW, "") for each in ids]) == [0, 16, 32]


def test_an_id_that_tells_another_time_is_of_another_shape() -> None:
    other = LogEvent(event_id(NOW, NOW, 5, 5), NOW + 1, "")
    assert offsets([other, other]) == [0, 16]


IDS = st.builds(
    event_id,
    st.just(NOW),
    st.integers(NOW, NOW + 10**6),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**16 - 1),
)


@given(st.lists(IDS, min_size=1, max_size=9), st.data())
def test_an_offset_is_a_pure_function_of_the_id(ids: list[str], data: st.DataObject) -> None:
    """So a part of a payload, which is what comes back from the bucket, falls on itself."""
    events = [LogEvent(each, NOW, "message") for each in ids]
    some = data.draw(st.lists(st.sampled_from(range(len(ids))), min_size=1))
    assert offsets([events[at] for at in some]) == [offsets(events)[at] for at in some]


@given(IDS)
def test_an_offset_is_that_of_the_call_and_the_index(id_: str) -> None:
    number = int(id_)
    call, index = number >> 16, number & 0xFFFF
    assert offsets([LogEvent(id_, NOW, "")]) == [call % 5**16 % 840_000 + index % 10_000 * 16]


@given(st.lists(st.one_of(IDS, st.text(max_size=60), st.integers()), max_size=9))
def test_an_offset_leaves_room_for_parts_within_its_millisecond(ids: list[str | int]) -> None:
    for place in offsets([LogEvent(each, NOW, "") for each in ids]):
        assert 0 <= place <= 1_000_000 - 16


@given(st.integers(NOW, NOW + 10**6), st.integers(0, 2**64 - 1))
def test_offsets_rise_within_a_call(ingested: int, call: int) -> None:
    events = [
        LogEvent(event_id(NOW, ingested, call, index), NOW, "") for index in (0, 1, 2, 5_000, 9_999)
    ]
    assert offsets(events) == sorted({*offsets(events)})


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
