import snappy
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.local.logproto_pb2 import EntryAdapter, LabelPairAdapter, PushRequest
from loki_shipper.local.pushes import parse_labels
from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.shipper.delivery.encode import encode, label_set

EVENT = LogEvent("", 0, "")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple)
ENTRIES = st.lists(
    st.builds(Entry, st.integers(0, 2**63 - 1), TEXT, PAIRS, st.just(EVENT)), max_size=20
)


def decoded(body: bytes) -> PushRequest:
    return PushRequest.FromString(snappy.uncompress(body))


def expected(batch: Batch) -> PushRequest:
    request = PushRequest()
    stream = request.streams.add(labels=label_set(batch.stream.labels))
    for entry in batch.entries:
        pairs = [LabelPairAdapter(name=name, value=value) for name, value in entry.metadata]
        added = EntryAdapter(line=entry.line, structuredMetadata=pairs)
        added.timestamp.FromNanoseconds(entry.timestamp)
        stream.entries.append(added)
    return request


@given(ENTRIES, st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), TEXT, max_size=4))
def test_the_protobuf_library_reads_what_was_meant(
    entries: list[Entry], labels: dict[str, str]
) -> None:
    batch = Batch(Stream("t", tuple(sorted(labels.items()))), entries)
    assert decoded(encode(batch)) == expected(batch)


def test_long_lines_and_many_entries_are_read_as_meant() -> None:
    shared: Pairs = (("log_stream", "s" * 127), ("part", "p" * 128))
    lines = ["", "x" * 127, "x" * 128, "x" * 16_383, "x" * 16_384, "€" * 70_000]
    entries = [Entry(n * 999_999_999, line, shared, EVENT) for n, line in enumerate(lines * 9)]
    batch = Batch(Stream(None, (("app", "a"),)), entries)
    assert decoded(encode(batch)) == expected(batch)


@given(ENTRIES)
def test_the_same_batch_is_the_same_bytes(entries: list[Entry]) -> None:
    batch = Batch(Stream("t", (("app", "a"),)), entries)
    assert encode(batch) == encode(batch)


def test_labels_are_written_as_loki_reads_them() -> None:
    assert label_set(()) == "{}"
    assert label_set((("a", 'q"'), ("b", "s\\"), ("c", "n\n\t\0€"))) == (
        '{a="q\\"", b="s\\\\", c="n\\n\t\0€"}'
    )


@given(st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), TEXT, max_size=4))
def test_labels_are_read_again_as_they_were(labels: dict[str, str]) -> None:
    kept = {name: value.replace("\ufffd", "?") for name, value in labels.items() if value}
    assert parse_labels(label_set(tuple(sorted(kept.items())))) == kept
