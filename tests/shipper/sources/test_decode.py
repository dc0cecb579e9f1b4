import base64
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.decode import UndecodableError, decode, from_base64
from loki_shipper.shipper.sources.pack import pack

PAYLOAD: dict[str, Any] = {
    "messageType": "DATA_MESSAGE",
    "owner": "123456789012",
    "logGroup": "/aws/lambda/fun",
    "logStream": "2026/11/20/[$LATEST]0",
    "subscriptionFilters": ["loki-shipper"],
    "logEvents": [
        {"id": "3" * 56, "timestamp": 1795206163123, "message": "hello"},
        {"id": 7, "timestamp": 1795206163124, "message": "", "extractedFields": {"a": 1}},
    ],
}


def record(text: bytes) -> str:
    return base64.b64encode(gzip.compress(text, mtime=0)).decode()


def of(payload: Any) -> str:
    return record(json.dumps(payload).encode())


def unpacked(text: str, **options: Any) -> LogData | None:
    return decode(from_base64(text), **options)


def refusal(text: str, **options: Any) -> str:
    with pytest.raises(UndecodableError) as raised:
        unpacked(text, **options)
    return str(raised.value)


def test_a_record_is_unpacked_to_log_data() -> None:
    assert unpacked(of(PAYLOAD)) == LogData(
        "DATA_MESSAGE",
        "123456789012",
        "/aws/lambda/fun",
        "2026/11/20/[$LATEST]0",
        [
            LogEvent("3" * 56, 1795206163123, "hello"),
            LogEvent(7, 1795206163124, "", {"a": 1}),
        ],
        ["loki-shipper"],
    )


def test_an_account_policy_says_its_level() -> None:
    data = unpacked(of(PAYLOAD | {"policyLevel": "ACCOUNT_LEVEL_POLICY"}))
    assert data is not None
    assert data.policy_level == "ACCOUNT_LEVEL_POLICY"


def test_fields_that_aws_may_add_are_passed_over() -> None:
    assert unpacked(of(PAYLOAD | {"new": {"a": [1]}})) == unpacked(of(PAYLOAD))


@pytest.mark.parametrize("kind", ["CONTROL_MESSAGE", "", "data_message"])
def test_what_is_no_data_message_carries_nothing(kind: str) -> None:
    control = {
        "messageType": kind,
        "owner": "CloudwatchLogs",
        "logGroup": "",
        "logStream": "",
        "subscriptionFilters": [],
        "logEvents": [{"id": "", "timestamp": 1680683189085, "message": "CWL CONTROL MESSAGE"}],
    }
    assert unpacked(of(control)) is None


def test_what_is_packed_decodes_to_itself() -> None:
    data = unpacked(of(PAYLOAD))
    assert data is not None
    assert unpacked(pack(data)) == data


def test_gzip_of_several_members_is_one_text() -> None:
    text = json.dumps(PAYLOAD).encode()
    packed = gzip.compress(text[:20]) + gzip.compress(text[20:])
    assert unpacked(base64.b64encode(packed).decode()) == unpacked(of(PAYLOAD))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not base64!", "base64"),
        ("größe", "base64"),
        ("AAA", "base64"),
        (base64.b64encode(b"plain").decode(), "gzip"),
        (base64.b64encode(zlib.compress(b"{}")).decode(), "gzip"),
        (base64.b64encode(gzip.compress(b"{}" * 99, mtime=0)[:-9]).decode(), "cut short"),
        (base64.b64encode(gzip.compress(b"{}", mtime=0) + b"rest").decode(), "gzip"),
        ("", "JSON"),
        (record(b""), "JSON"),
        (record(b"{"), "JSON"),
        (record(b"\xff\xfe"), "JSON"),
        (record(b'{"logEvents": [{"extractedFields": {"a": ' + b"[" * 100_000), "JSON"),
        (record(b'{"a":' * 100_000), "JSON"),
        (record(b"[]"), "log data"),
        (record(b"{}"), "log data"),
    ],
)
def test_what_is_no_record_is_refused_with_a_reason(text: str, why: str) -> None:
    assert why in refusal(text)


@pytest.mark.parametrize("field", ["messageType", "owner", "logGroup", "logStream", "logEvents"])
def test_a_missing_field_is_named(field: str) -> None:
    payload = {name: value for name, value in PAYLOAD.items() if name != field}
    assert field in refusal(of(payload))


@pytest.mark.parametrize("field", ["id", "message"])
def test_a_missing_field_of_a_log_event_is_named(field: str) -> None:
    event = {name: value for name, value in PAYLOAD["logEvents"][0].items() if name != field}
    assert field in refusal(of(PAYLOAD | {"logEvents": [event]}))


@pytest.mark.parametrize("timestamp", [-1, 10**19, 10**40, 1.5, "now", True])
def test_a_time_that_loki_cannot_hold_is_refused(timestamp: object) -> None:
    event = PAYLOAD["logEvents"][0] | {"timestamp": timestamp}
    assert "timestamp" in refusal(of(PAYLOAD | {"logEvents": [event]}))


def test_no_refusal_shows_what_the_record_holds() -> None:
    event = {"id": "hunter2", "timestamp": "hunter2", "message": "hunter2", "hunter2": "hunter2"}
    assert "hunter2" not in refusal(of(PAYLOAD | {"logEvents": [event]}))
    assert "hunter2" not in refusal(of(PAYLOAD | {"logEvents": {"hunter2": "hunter2"}}))
    assert "hunter2" not in refusal(record(b'{"hunter2": hunter2}'))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (rb'"a \ud800 b"', "a ? b"),
        (rb'"\udc00\ud83d\udc27"', "?\N{PENGUIN}"),
        (b'"a \xff b"', "a \ufffd b"),
        (rb'"\u0000\t\"\\\/"', '\0\t"\\/'),
        (rb'"\ufffd"', "\ufffd"),
    ],
)
def test_text_that_is_not_unicode_is_mended(text: bytes, line: str) -> None:
    raw = json.dumps(PAYLOAD).encode().replace(b'"hello"', text)
    data = unpacked(record(raw))
    assert data is not None
    assert data.log_events[0].message == line
    data.log_events[0].message.encode()


def test_a_record_may_unpack_to_so_many_bytes_and_no_more() -> None:
    text = json.dumps(PAYLOAD).encode()
    assert unpacked(record(text), max_bytes=len(text)) == unpacked(of(PAYLOAD))
    assert "more than" in refusal(record(text), max_bytes=len(text) - 1)


def test_members_of_a_gzip_share_the_room() -> None:
    packed = gzip.compress(b" " * 600) * 2
    assert "more than 1000" in refusal(base64.b64encode(packed).decode(), max_bytes=1000)


def zeros(megabytes: int) -> str:
    packer = zlib.compressobj(9, wbits=31)
    head = packer.flush(zlib.Z_FULL_FLUSH)
    # Compressed from a fresh start, a block can be said over and over.
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return base64.b64encode(head + block * megabytes).decode()


def test_a_gzip_bomb_is_refused_in_bounded_memory() -> None:
    bomb = zeros(800)
    assert len(bomb) < 1_200_000
    tracemalloc.start()
    try:
        assert "more than 33554432 bytes" in refusal(bomb)
        assert tracemalloc.get_traced_memory()[1] < 128 * 1024 * 1024
    finally:
        tracemalloc.stop()


SAMPLE = gzip.compress(json.dumps(PAYLOAD).encode(), mtime=0)
TEXT = json.dumps(PAYLOAD).encode()


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    changed = bytearray(original)
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, len(changed)))
        match draw(st.sampled_from(["flip", "cut", "insert", "drop"])):
            case "flip" if place < len(changed):
                changed[place] ^= draw(st.integers(1, 255))
            case "cut":
                del changed[place:]
            case "insert":
                changed[place:place] = draw(st.binary(max_size=8))
            case _:
                del changed[place : place + draw(st.integers(1, 40))]
    return bytes(changed)


def sound(text: str) -> None:
    """Decode, and find nothing but log data or the declared refusal."""
    try:
        data = unpacked(text, max_bytes=1 << 20)
    except UndecodableError:
        return
    if data is not None:
        json.dumps([data.log_group, *(event.message for event in data.log_events)]).encode()
        for event in data.log_events:
            event.message.encode()


@given(mutated(SAMPLE))
def test_mutated_gzip_gives_log_data_or_a_refusal(packed: bytes) -> None:
    sound(base64.b64encode(packed).decode())


@given(mutated(TEXT))
def test_mutated_json_gives_log_data_or_a_refusal(text: bytes) -> None:
    sound(record(text))


@given(mutated(base64.b64encode(SAMPLE)))
def test_mutated_base64_gives_log_data_or_a_refusal(text: bytes) -> None:
    sound(text.decode("latin-1"))


@given(st.text())
def test_any_text_gives_log_data_or_a_refusal(text: str) -> None:
    sound(text)


@pytest.mark.parametrize(
    "event", [{"id": "1", "message": "a"}, {"id": "1", "timestamp": None, "message": "a"}]
)
def test_a_time_that_is_missing_is_zero(event: dict[str, Any]) -> None:
    data = unpacked(of(PAYLOAD | {"logEvents": [event, PAYLOAD["logEvents"][0]]}))
    assert data is not None
    assert [each.timestamp for each in data.log_events] == [0, 1795206163123]
