"""The log events of a log file: their time, their order, and their nanosecond for ever."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loki_shipper.model import LogEvent, LogFile, S3Object
from loki_shipper.shipper.entries.offsets import NS_PER_MS, offsets
from loki_shipper.shipper.log_files.reader import Layout, LogFileReader, RefusedObject
from loki_shipper.shipper.log_files.times import iso
from loki_shipper.shipper.log_files.types import reader_of
from tests.shipper.log_files.samples import SAMPLES, WRITTEN

OBJECT = S3Object("my-logs", "app.log", etag="9a1b", written=WRITTEN)

TIMES = {
    "alb": ["20:20:23.186", "20:20:24.002", "20:21:01.640", "20:21:02.100"],
    "alb_connection": ["20:20:15.514", "20:20:16.001", "20:20:17.250"],
    "alb_health": ["20:20:59.875", "20:21:00.901", "20:21:01.000"],
    "nlb": ["20:20:40.000", "20:20:41.000", "20:20:41.000"],
    "clb": ["20:20:43.945", "20:20:44.086", "20:20:45.069", "20:20:46.041"],
    # The field `start`.
    "vpcflow": ["20:20:10.000", "20:20:12.000", "20:20:13.000", "20:20:14.000"],
    "vpcflow-custom": ["20:21:33.000", "20:21:34.000"],
    "tgwflow": ["20:20:20.000", "20:20:21.000"],
    "cloudfront": ["20:20:13.000", "20:20:13.000", "20:20:14.000", "20:20:15.000"],
    "cloudfront-v2": ["20:20:25.421", "20:20:26.001"],
    "cloudfront-v2-json": ["20:20:51.183", "20:20:52.000"],
    "cloudfront-v2-plain": ["20:20:13.000"],
    "cloudfront_realtime": ["20:20:10.197", "20:20:11.002"],
    "waf": ["20:20:10.888", "20:20:11.001"],
    "waf-cloudfront": ["20:20:10.888"],
    "cloudtrail": ["20:20:43.000", "20:20:44.000", "20:20:45.000"],
    "config": ["20:20:33.301", "20:20:34.000"],
    # The time when the snapshot was written.
    "config-snapshot": ["20:25:00.000", "20:25:00.000"],
    "guardduty": ["20:20:05.600", "20:20:06.000"],
    "network_firewall": ["20:20:27.007", "20:20:28.000"],
    "route53_resolver": ["20:20:55.000", "20:20:56.000", "20:20:57.000"],
    "s3_access": ["20:20:38.000", "20:20:39.000", "20:20:40.000", "20:20:41.000"],
    "s3_access-simple": ["20:20:38.000", "20:20:39.000", "20:20:40.000", "20:20:41.000"],
    # A line without a time has that of the line before it.
    "text": [
        "20:20:31.123",
        "20:20:31.123",
        "20:20:31.123",
        "20:20:32.500",
        "20:20:33.000",
        "20:20:34.000",
    ],
    "json": ["20:20:35.250", "20:20:36.500", "20:20:36.500", "20:20:37.000"],
}


def written(event: LogEvent) -> str:
    when = datetime.fromtimestamp(event.timestamp / 1000, UTC)
    assert when.date().isoformat() == "2026-11-20"
    return when.time().isoformat("milliseconds")


def reader(found: S3Object = OBJECT) -> LogFileReader:
    return LogFileReader(found, LogFile("my-logs", found.key, "text"), Layout(iso_at_begin))


def iso_at_begin(line: str) -> int | None:
    return iso(line.partition(" ")[0])


def nanoseconds(events: list[LogEvent]) -> list[int]:
    return [
        event.timestamp * NS_PER_MS + place
        for event, place in zip(events, offsets(events), strict=True)
    ]


@pytest.mark.parametrize("name", SAMPLES)
def test_each_line_of_a_sample_has_its_own_time(name: str) -> None:
    assert [written(event) for event in SAMPLES[name].events()] == TIMES[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_each_line_of_a_sample_stays_as_it_is(name: str) -> None:
    sample = SAMPLES[name]
    lines = [line.decode("utf-8", "replace") for line in sample.lines()]
    events = [event.message for event in sample.events()]
    assert events == lines[len(lines) - len(events) :]
    headers = lines[: len(lines) - len(events)]
    assert all(line.startswith(("#", "version ", "account-id ")) for line in headers)


def appended(line: bytes) -> bytes:
    """Append a field to a line, as AWS does with no notice."""
    if line.startswith(b"{"):
        return line.removesuffix(b"}") + b',"new_field":{"time":"x"}}'
    separator = b"\t" if b"\t" in line else b" "
    return line if line.startswith(b"#") else separator.join((line, b"new", b'"a field"'))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_that_aws_appends_changes_no_time(name: str) -> None:
    sample = SAMPLES[name]
    # Without the header: AWS would append the field's name there.
    lines = [appended(line) for line in sample.lines()[-len(TIMES[name]) :]]
    assert [written(event) for event in sample.reader().events(0, lines)] == TIMES[name]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("keep", [0, 1, 9, 30, 100])
def test_a_broken_line_is_an_event_with_the_time_of_the_line_before(name: str, keep: int) -> None:
    sample = SAMPLES[name]
    last = sample.lines()[-1]
    events = sample.reader().events(0, [last, last[:keep], last])
    assert [event.message for event in events if event.message == last.decode("utf-8", "replace")]
    assert {event.timestamp for event in events} == {events[0].timestamp}
    assert len(events) == 2 + bool(keep)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_line_of_no_known_form_is_an_event_with_the_time_of_the_object(name: str) -> None:
    odd = [b"\xff", b"-", b"- - - - - - - - - - - - - - -", b"\t\t\t", b'{"a":', b"{}", b"[[", b"]"]
    events = SAMPLES[name].reader().events(0, odd)
    assert [event.timestamp for event in events] == [WRITTEN] * len(odd)


@pytest.mark.parametrize(
    ("body", "times"),
    [
        # CloudFront v2 lets you choose the fields, their order and the separator.
        (b"#Fields: x-edge-location,time,date\nFRA6,20:20:23,2026-11-20", ["20:20:23.000"]),
        (b"#Fields: x-edge-location time date\nFRA6|20:20:23|2026-11-20", ["20:20:23.000"]),
        (b"#Fields: x-edge-location timestamp(ms)\nFRA6;1795206025421", ["20:20:25.421"]),
        (b"#Fields: x-edge-location sc-status\nFRA6\t200", ["20:25:00.000"]),
        # VPC flow logs without `start`, and without any time.
        (b"srcaddr end\n192.0.2.7 1795206070", ["20:21:10.000"]),
        (b"srcaddr dstaddr\n192.0.2.7 192.0.2.8", ["20:25:00.000"]),
    ],
)
def test_a_time_is_where_the_header_names_it(body: bytes, times: list[str]) -> None:
    made = reader_of(replace(OBJECT, key="x"), body)
    assert isinstance(made, LogFileReader)
    assert [written(event) for event in made.events(0, body.split(b"\n"))] == times


def test_a_time_after_the_object_was_written_is_a_wrong_clock() -> None:
    lines = [b"2026-11-20T20:34:59Z a", b"2026-11-20T20:35:01Z b", b"2027-11-20T20:25:00Z c"]
    assert [written(event) for event in reader().events(0, lines)] == ["20:34:59.000"] * 3


def test_a_time_of_1970_is_no_time() -> None:
    assert [written(each) for each in reader().events(0, [b"1970-01-01T00:00:00Z a"])] == [
        "20:25:00.000"
    ]


def test_without_the_time_of_the_object_any_time_of_a_line_counts() -> None:
    made = reader(replace(OBJECT, written=None))
    [event] = made.events(0, [b"2099-11-20T20:25:00Z a"])
    assert event.timestamp == 4_098_889_500_000


def test_empty_lines_and_ends_of_lines_of_windows_are_left_out() -> None:
    events = reader().events(0, [b"a\r", b"", b"\r", b"b"])
    assert [event.message for event in events] == ["a", "b"]


def test_lines_of_one_millisecond_keep_their_order() -> None:
    events = reader().events(0, [b"%d" % number for number in range(10_000)])
    found = nanoseconds(events)
    assert found == sorted(set(found))
    assert {each // NS_PER_MS for each in found} == {WRITTEN}


def test_more_lines_without_a_time_than_fit_into_a_millisecond_keep_their_order() -> None:
    found = nanoseconds(reader().events(0, [b"same"] * 35_000))
    assert found == sorted(set(found))
    assert found[-1] // NS_PER_MS == WRITTEN + 3


def lines_of_all_kinds() -> Iterator[bytes]:
    for number in range(25_000):
        second = number // 1_000
        yield b"2026-11-20T20:21:%02dZ a" % second if number % 7 == 0 else b"no time"


@pytest.mark.parametrize("size", [1, 999, 10_000, 24_999])
def test_a_line_has_the_same_nanosecond_however_the_file_is_cut(size: int) -> None:
    lines = [*lines_of_all_kinds()][: 3_000 if size == 1 else None]
    whole = reader().events(0, lines)
    cut: list[LogEvent] = []
    for first in range(0, len(lines), size):
        last_time = cut[-1].timestamp if cut else WRITTEN
        # Another invocation goes on where the one before stopped.
        resumed = reader()
        resumed.time = last_time
        part = resumed.events(first, lines[first : first + size])
        cut += part
    assert cut == whole
    assert nanoseconds(cut) == nanoseconds(whole)


def test_a_part_of_the_file_alone_gives_the_nanoseconds_of_the_whole() -> None:
    lines = [b"2026-11-20T20:21:%02dZ %d" % (n // 500, n) for n in range(12_000)]
    whole = nanoseconds(reader().events(0, lines))
    assert nanoseconds(reader().events(9_990, lines[9_990:10_010])) == whole[9_990:10_010]


@pytest.mark.parametrize(
    "other",
    [
        replace(OBJECT, bucket="others"),
        replace(OBJECT, key="app2.log"),
        replace(OBJECT, etag="8b"),
    ],
)
def test_equal_lines_of_another_object_have_other_nanoseconds(other: S3Object) -> None:
    lines = [b"2026-11-20T20:21:00Z a"]
    assert reader(other).events(0, lines) != reader().events(0, lines)
    assert reader(other).events(0, lines) == reader(other).events(0, lines)


def test_an_object_has_the_same_nanoseconds_if_a_message_names_its_version() -> None:
    """S3 names the version in its notifications, but not in a list, which `backfill` reads."""
    lines = [b"2026-11-20T20:21:00Z a"]
    assert reader(replace(OBJECT, version="v1")).events(0, lines) == reader().events(0, lines)


def test_a_key_with_odd_characters_has_ids_too() -> None:
    [event] = reader(replace(OBJECT, key="a\udc80/ü \0")).events(0, [b"a"])
    assert len(str(event.id)) == 56


SPECKS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b" ", b"\t", b"-", b".", b"/", b"T", b"Z"),
    *(b"\xff", b"\0", b"1795206010", b"2026-11-20T20:20:23", b"+01:00", b"1e999", b"NaN"),
    *(b'"time"', b'"timestamp":', b'"eventTime":', "٣".encode(), b"20/Nov/2026:20:20:38 +0000"),
]


@given(st.sampled_from([*SAMPLES]), st.lists(st.lists(st.sampled_from(SPECKS)).map(b"".join)))
def test_no_line_stops_a_file(name: str, lines: list[bytes]) -> None:
    made = SAMPLES[name].reader()
    events = made.events(0, lines)
    assert len(events) <= len([line for line in lines if line])
    assert all(10**12 < event.timestamp <= WRITTEN + 600_000 for event in events)
    assert offsets(events) == offsets(SAMPLES[name].reader().events(0, lines))


@given(st.binary(max_size=2000), st.sampled_from([each.found.key for each in SAMPLES.values()]))
def test_no_object_stops_the_choice_of_its_type(head: bytes, key: str) -> None:
    for each in (key, "unknown"):
        made = reader_of(S3Object("my-logs", each, written=WRITTEN), head)
        assert isinstance(made, LogFileReader | RefusedObject)
        if isinstance(made, LogFileReader):
            made.events(0, head.split(b"\n"))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_line_takes_some_microseconds(name: str) -> None:
    """A bound against a search that is not linear, far above what a line takes."""
    sample = SAMPLES[name]
    lines = (sample.lines() * 10_000)[:10_000]
    began = time.process_time()
    sample.reader().events(0, lines)
    assert (time.process_time() - began) / len(lines) < 100e-6


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("text", [b"a ", b"2 ", b"\t", b'"', b"[", b"{", b'{"a":'])
def test_a_long_line_of_no_known_form_is_left_quickly(name: str, text: bytes) -> None:
    began = time.process_time()
    SAMPLES[name].reader().events(0, [text * 200_000])
    assert time.process_time() - began < 2
