from itertools import chain

import snappy
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.shipper.delivery.batch import batch, size
from loki_shipper.shipper.delivery.encode import encode

STREAM = Stream(None, (("app", "a"),))
EVENT = LogEvent("", 0, "")
NOW = 1_795_206_163_123_456_789


def entry(line: str, metadata: Pairs = (), timestamp: int = NOW) -> Entry:
    return Entry(timestamp, line, metadata, EVENT)


def lines(batches: list[Batch]) -> list[list[str]]:
    return [[each.line for each in one.entries] for one in batches]


def weight(one: Batch) -> int:
    return len(snappy.uncompress(encode(one)))


def test_what_fits_is_one_batch() -> None:
    entries = [entry("a"), entry("b")]
    assert [*batch(STREAM, entries, 1000)] == [Batch(STREAM, entries)]


def test_no_entries_are_no_batch() -> None:
    assert [*batch(STREAM, [], 1000)] == []


def test_what_does_not_fit_begins_the_next_batch() -> None:
    entries = [entry("a" * 400), entry("b" * 400), entry("c" * 400)]
    assert lines([*batch(STREAM, entries, 1000)]) == [["a" * 400, "b" * 400], ["c" * 400]]


def test_an_entry_that_is_too_large_travels_alone() -> None:
    entries = [entry("a"), entry("b" * 2000), entry("c")]
    assert lines([*batch(STREAM, entries, 1000)]) == [["a"], ["b" * 2000], ["c"]]


def test_metadata_counts() -> None:
    shared = (("log_stream", "s" * 400),)
    assert len([*batch(STREAM, [entry("a", shared)] * 4, 1000)]) == 2


def test_escaped_labels_count() -> None:
    stream = Stream(None, tuple((f"label{n}", '"\\\n' * 682) for n in range(14)))
    batches = [*batch(stream, [entry("x" * 1000)] * 60, 65_536)]
    assert max(map(weight, batches)) <= 65_536


def test_many_short_lines_fill_their_batches() -> None:
    batches = [*batch(STREAM, [entry(f"line {n}") for n in range(20_000)], 262_144)]
    assert max(map(weight, batches)) <= 262_144
    assert len(batches) <= 5


def test_bytes_are_those_of_utf_8() -> None:
    assert [size(text) for text in ("", "a", "ß", "€", "\N{PENGUIN}")] == [0, 1, 2, 3, 4]


TEXT = st.text(st.sampled_from('a"\\\n€\N{PENGUIN}\0'), max_size=60)
PAIRS = st.lists(st.tuples(st.just("name"), TEXT), max_size=3).map(tuple)
ENTRIES = st.lists(
    st.builds(entry, TEXT.map(lambda text: text * 9), PAIRS, st.integers(0, 2**63 - 1)),
    max_size=60,
)


@given(ENTRIES, PAIRS, st.integers(200, 5000))
def test_order_is_kept_nothing_is_lost_and_no_batch_is_too_large(
    entries: list[Entry], labels: Pairs, most: int
) -> None:
    batches = [*batch(Stream("t", labels), entries, most)]
    assert [*chain.from_iterable(one.entries for one in batches)] == entries
    for one in batches:
        assert one.entries
        assert len(one.entries) == 1 or weight(one) <= most
