"""Sample events are what CloudWatch Logs would send, and can be moved in time."""

import gzip
import json
from base64 import b64decode

import pytest

from loki_shipper.local.sample import (
    Call,
    event_id,
    from_lines,
    invocation_event,
    log_data,
    retimed,
)
from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.sources.event import records

NOW = 1_763_000_000_000


def unpacked(event: dict[str, dict[str, str]]) -> dict[str, object]:
    data: dict[str, object] = json.loads(gzip.decompress(b64decode(event["awslogs"]["data"])))
    return data


def test_an_id_has_the_layout_and_length_of_a_real_one() -> None:
    # From AWS's own example of a subscription payload.
    real = "31953106606966983378809025079804211143289615424298221570"
    number = int(real)
    parts = (
        number >> 144,
        number >> 80 & (1 << 64) - 1,
        number >> 16 & (1 << 64) - 1,
        number & 0xFFFF,
    )
    assert parts[0] == 1_432_826_855_000
    assert event_id(*parts) == real


def test_events_of_a_call_share_its_number_and_count_up() -> None:
    calls = [Call(NOW + 9, [(NOW, "a"), (NOW, "b")]), Call(NOW + 9, [(NOW, "a")])]
    first, second, third = (int(event.id) for event in log_data("g", "s", calls).log_events)
    assert second == first + 1
    assert third >> 16 & (1 << 64) - 1 != first >> 16 & (1 << 64) - 1
    assert third & 0xFFFF == 0


def test_the_same_calls_give_the_same_bytes() -> None:
    calls = [Call(NOW + 9, [(NOW, "a")])]
    assert invocation_event(log_data("g", "s", calls)) == invocation_event(
        log_data("g", "s", calls)
    )


def test_a_packed_payload_has_no_time_of_packing() -> None:
    packed = b64decode(invocation_event(log_data("g", "s", []))["awslogs"]["data"])
    assert packed[4:8] == bytes(4)


def test_a_payload_has_the_names_that_cloudwatch_logs_uses() -> None:
    data = log_data("g", "s", [Call(NOW + 9, [(NOW, "a\n")])], owner="210987654321")
    event = unpacked(invocation_event(data))
    assert event == {
        "messageType": "DATA_MESSAGE",
        "owner": "210987654321",
        "logGroup": "g",
        "logStream": "s",
        "subscriptionFilters": ["loki-shipper"],
        "logEvents": [{"id": data.log_events[0].id, "timestamp": NOW, "message": "a\n"}],
    }


def test_lines_are_a_millisecond_apart_and_end_at_the_newest() -> None:
    data = from_lines(["a", "", "b", "b"], log_group="g", log_stream="s", newest=NOW)
    assert [(event.timestamp, event.message) for event in data.log_events] == [
        (NOW - 2, "a"),
        (NOW - 1, "b"),
        (NOW, "b"),
    ]


def test_more_lines_than_one_call_takes_become_several_calls() -> None:
    data = from_lines(map(str, range(10_001)), log_group="g", log_stream="s", newest=NOW)
    assert int(data.log_events[9_999].id) & 0xFFFF == 9_999
    assert int(data.log_events[10_000].id) & 0xFFFF == 0
    assert len({event.id for event in data.log_events}) == 10_001


def read(event: object) -> LogData:
    [data] = records(event)
    return data


def test_retiming_keeps_distances_lines_order_and_ids_in_step() -> None:
    calls = [Call(5_400, [(5_000, "b"), (5_007, "c")]), Call(5_900, [(4_000, "a")])]
    before = log_data("g", "s", calls)
    after = read(retimed(invocation_event(before), NOW))
    assert [event.timestamp for event in after.log_events] == [NOW - 7, NOW, NOW - 1_007]
    assert [event.message for event in after.log_events] == ["b", "c", "a"]
    shift = NOW - 5_007
    for old, new in zip(before.log_events, after.log_events, strict=True):
        assert int(new.id) - int(old.id) == (shift << 144) + (shift << 80)


def test_retiming_to_the_newest_changes_nothing() -> None:
    event = invocation_event(log_data("g", "s", [Call(5_400, [(5_000, "b"), (5_007, "c")])]))
    assert retimed(event, 5_007) == event


@pytest.mark.parametrize("foreign", ["eventId1", "", 7, "9" * 5_000, "1" * 56])
def test_ids_of_another_shape_stay(foreign: str | int) -> None:
    data = LogData("DATA_MESSAGE", "o", "g", "s", [LogEvent(foreign, 5_000, "a")])
    after = read(retimed(invocation_event(data), NOW))
    assert after.log_events == [LogEvent(foreign, NOW, "a")]


@pytest.mark.parametrize("kind", ["CONTROL_MESSAGE", "DATA_MESSAGE"])
def test_an_event_without_log_events_stays(kind: str) -> None:
    event = invocation_event(LogData(kind, "o", "g", "s", []))
    assert retimed(event, NOW) is event


def test_an_input_that_is_not_an_event_is_named() -> None:
    with pytest.raises(UndecodableError):
        retimed({"detail": {}}, NOW)


def test_a_batch_of_several_records_keeps_all_of_them() -> None:
    payloads = [
        log_data(name, "s", [Call(at, [(at, name)])]) for name, at in (("g", 5_000), ("h", 4_000))
    ]
    batch = {
        "Records": [
            {"kinesis": {"data": invocation_event(data)["awslogs"]["data"], "sequenceNumber": "1"}}
            for data in payloads
        ]
    }
    after = records(retimed(batch, NOW))
    assert [(data.log_group, data.log_events[0].timestamp) for data in after] == [
        ("g", NOW),
        ("h", NOW - 1_000),
    ]
