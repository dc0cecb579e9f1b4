"""Columns give the same entries, batches, bytes and counts as code that goes line by line."""

from collections.abc import Sequence
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.local.sample import event_id
from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.shipper.delivery.batch import batch
from loki_shipper.shipper.delivery.encode import encode
from loki_shipper.shipper.delivery.outcome import Delivered, Outcome, Rejected, settle
from loki_shipper.shipper.entries.columns import Columns, read
from loki_shipper.shipper.rules.compile import compile_metadata
from loki_shipper.shipper.rules.extract import MetadataExtractors, MetadataRules
from loki_shipper.shipper.rules.parse import default_rules

NOW = 1_795_206_163_123
SHARED: Pairs = (("log_stream", "s"),)
STREAM = Stream("t", (("app", "a"),))
RULES = default_rules().of("/aws/lambda/f")
UUID = "4a8e2b5c-93f1-4d08-a1d2-5b1f6c7e8d90"

WORDS = st.sampled_from(
    [
        *("[", "]", "[INFO]", "[ERROR]", "[WARNING]", "[CRITICAL]", "[NOTICE", "[INFORMATION]"),
        *(
            "\t",
            " ",
            "\n",
            "x",
            "ß",
            "€",
            "\N{PENGUIN}",
            "٣",
            "1234-",
            "2027-01-15T08:00:00.000Z\t",
        ),
        *(f"{UUID}\tWARN\t", f"{UUID}\tDEBUG\t", "undefined\tINFO\t", "undefined\tlow\t", "DEBUG"),
        *("{", "}", '{"level":"error"}', '{"log":{"level":"warn"},"x":1}', '{"lvl":30}', '{"a":'),
    ]
)
LINES = st.lists(WORDS, max_size=5).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=200
)


def merge(extracted: Pairs) -> Pairs:
    return tuple(sorted(SHARED + extracted)) if extracted else SHARED


def default_extractors() -> MetadataExtractors:
    compiled = compile_metadata(RULES, merge)
    assert compiled is not None
    assert compiled.extractors is not None
    return compiled.extractors


@st.composite
def log_events(draw: st.DrawFn) -> list[LogEvent]:
    lines = draw(st.lists(LINES, max_size=30) | st.lists(LINES, min_size=120, max_size=130))
    spread = draw(st.sampled_from([0, 3, 5_000, 10**12]))
    times = [NOW - draw(st.integers(0, spread)) for _ in lines]
    return [
        LogEvent(f"{n}", time, line)
        for n, (time, line) in enumerate(zip(times, lines, strict=True))
    ]


def line_by_line(
    events: Sequence[LogEvent], offsets: list[int], extractors: MetadataExtractors | None
) -> list[Entry]:
    entries: list[Entry] = []
    for event, offset in zip(events, offsets, strict=True):
        line = event.message.removesuffix("\n")
        if not line:
            continue
        metadata = SHARED
        if extractors is not None:
            extract = extractors.of_json if line.startswith("{") else extractors.of_text
            metadata = extract(line)
        entries.append(Entry(event.timestamp * 1_000_000 + offset, line, metadata, event))
    return sorted(entries, key=lambda entry: entry.timestamp)


def columns_of(events: list[LogEvent], extractors: MetadataExtractors | None = None) -> Columns:
    rules = MetadataRules("level", SHARED, extractors)
    columns = read(events, [16 * n for n in range(len(events))], rules, 10**6)
    assert columns is not None
    return columns


@given(log_events())
def test_entries_are_the_same_as_line_by_line(events: list[LogEvent]) -> None:
    offsets = [16 * n for n in range(len(events))]
    for extractors in (None, default_extractors()):
        assert [*columns_of(events, extractors)] == line_by_line(events, offsets, extractors)


@given(st.lists(WORDS, max_size=6).map("".join), st.lists(WORDS, max_size=6).map("".join))
def test_the_head_of_a_line_decides_only_where_no_end_can_change_it(start: str, end: str) -> None:
    extractors = default_extractors()
    line = start[:8] + end if len(start) >= 8 else start
    metadata = extractors.of_head(line[:8])
    if metadata is not None:
        assert not line.startswith("{")
        assert metadata == extractors.of_text(line)


def test_a_line_longer_than_the_limit_makes_no_columns() -> None:
    event = LogEvent("", NOW, "€" * 10)
    rules = MetadataRules("", SHARED, None)
    assert read([event], [0], rules, 30) is not None
    assert read([event], [0], rules, 29) is None


@given(log_events(), st.integers(200, 5_000))
def test_batches_end_where_those_of_entries_end(events: list[LogEvent], most: int) -> None:
    columns = columns_of(events, default_extractors())
    quick, slow = [*batch(STREAM, columns, most)], [*batch(STREAM, [*columns], most)]
    assert [[*each.entries] for each in quick] == [[*each.entries] for each in slow]
    assert all(isinstance(each.entries, Columns) for each in quick)


@given(log_events())
def test_bytes_are_those_of_the_entries(events: list[LogEvent]) -> None:
    columns = columns_of(events, default_extractors())
    if columns:
        assert encode(Batch(STREAM, columns)) == encode(Batch(STREAM, [*columns]))


def test_bytes_are_those_of_the_entries_for_every_number_of_lanes() -> None:
    for count in (1, 99, 100, 101, 1023, 1024, 1025, 2049):
        events = [LogEvent("", n * 700, f"line {n} " * (n % 40)) for n in range(1, count + 1)]
        columns = columns_of(events)
        assert encode(Batch(STREAM, columns)) == encode(Batch(STREAM, [*columns]))


def test_years_whose_seconds_are_written_in_fewer_bytes_are_written_too() -> None:
    columns = columns_of([LogEvent("", time, "x") for time in (0, 127_000, 128_000, 2**28 * 1000)])
    assert encode(Batch(STREAM, columns)) == encode(Batch(STREAM, [*columns]))


@given(log_events(), st.slices(30), st.integers(0, 29))
def test_columns_are_a_sequence_of_entries(events: list[LogEvent], part: slice, at: int) -> None:
    columns = columns_of(events)
    entries = [*columns]
    assert columns[part] == entries[part]
    assert len(columns) == len(entries)
    if at < len(entries):
        assert columns[at] == entries[at]
        assert columns[-at - 1] == entries[-at - 1]


@given(log_events(), st.integers(0, 30), st.booleans())
def test_columns_are_settled_like_entries(events: list[LogEvent], at: int, late: bool) -> None:
    columns = columns_of(events)
    quick: list[Outcome] = [Delivered(columns[:at], late=late), Delivered(columns[at:])]
    slow: list[Outcome] = [
        Delivered([*columns[:at]], late=late),
        Delivered([*columns[at:]]),
    ]
    assert settle(quick) == settle(slow)
    refused: list[Outcome] = [Delivered(columns[:at]), Rejected(columns[at:], "too_old")]
    settled = settle(refused)
    kept = chain.from_iterable(settled.rejected.values())
    assert [*kept] == [entry.event for entry in columns[at:]]
    assert settled.delivered == len(columns[:at])


def test_an_id_is_its_last_digits() -> None:
    number = int(event_id(NOW, NOW + 400, 2**64 - 1, 9_999))
    assert number % 10**16 & 0xFFFF == 9_999
    assert (number % 10**16 >> 16) == (number >> 16) % 5**16
