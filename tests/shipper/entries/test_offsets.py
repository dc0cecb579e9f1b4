"""Each log event has its place within its millisecond, calculated from its id alone."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.local.sample import event_id
from loki_shipper.model import LogEvent
from loki_shipper.shipper.entries.offsets import offsets

NOW = 1_795_206_163_123


def event(message: str, index: int = 0, call: int = 0) -> LogEvent:
    return LogEvent(event_id(NOW, NOW + 400, call, index), NOW, message)


def test_calls_of_one_millisecond_are_spread() -> None:
    assert len({*offsets([event("same", call=n) for n in range(1000)])}) > 990


def test_calls_of_a_busy_millisecond_hardly_overlap() -> None:
    """A busy log group has many calls in a millisecond. Few lines get the same nanosecond."""
    draw = random.Random(1)
    events = [
        event("same", index=index, call=call)
        for call in (draw.getrandbits(64) for _ in range(100))
        for index in range(20)
    ]
    assert len({*offsets(events)}) > 1_950


def test_places_of_calls_are_spread_evenly() -> None:
    draw = random.Random(2)
    places = offsets([event("", call=draw.getrandbits(64)) for _ in range(84_000)])
    tenths = Counter(place // 84_000 for place in places)
    assert sorted(tenths) == [*range(10)]
    assert all(8_000 < count < 8_800 for count in tenths.values())


@pytest.mark.parametrize("id_", ["", "eventId1", 7, "0" * 56, "٣" * 56, "9" * 55, "9" * 57])
def test_events_with_other_ids_get_their_place_in_the_payload(id_: str | int) -> None:
    of_aws = event("").id
    for ids in ([id_] * 3, [id_, of_aws, of_aws], [of_aws, of_aws, id_]):
        assert offsets([LogEvent(each, NOW, "") for each in ids]) == [0, 16, 32]
    assert offsets([LogEvent(id_, NOW, "")] * 70_000)[-1] == 999_984


@pytest.mark.parametrize("id_", ["", "eventId1", 7])
def test_one_id_without_digits_gives_all_events_their_place_in_the_payload(
    id_: str | int,
) -> None:
    ids = [event("").id, id_, event("").id]
    assert offsets([LogEvent(each, NOW, "") for each in ids]) == [0, 16, 32]


def test_an_id_with_another_time_than_its_event_is_no_aws_id() -> None:
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
    """So the part of a payload that a redrive sends again gets the same nanoseconds."""
    events = [LogEvent(each, NOW, "message") for each in ids]
    some = data.draw(st.lists(st.sampled_from(range(len(ids))), min_size=1))
    assert offsets([events[at] for at in some]) == [offsets(events)[at] for at in some]


@given(IDS)
def test_an_offset_depends_on_the_call_and_the_index(id_: str) -> None:
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


@given(st.lists(st.integers(0, 999_999), max_size=9))
def test_an_id_may_name_its_place(places: list[int]) -> None:
    assert offsets([LogEvent(f"+{place}", NOW, "") for place in places]) == places


def test_an_id_that_only_begins_like_a_place_gets_its_place_in_the_payload() -> None:
    assert offsets([LogEvent("+a", NOW, ""), LogEvent("+b", NOW, "")]) == [0, 16]
