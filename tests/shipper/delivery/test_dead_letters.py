import json
import re
from typing import Any

import pytest

from loki_shipper.local.sample import from_lines
from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.delivery.dead_letters import write_dead_letter, write_undecodable
from loki_shipper.shipper.sources.event import records

NOW = 1_795_206_163_123
DATA = from_lines(["a", "b", "c"], log_group="g", log_stream="s", newest=NOW)


def dead_letters(
    events: list[LogEvent], reason: str = "too_old", **changes: Any
) -> dict[str, bytes]:
    bucket: dict[str, bytes] = {}
    write_dead_letter(
        DATA, events, folder="rejected", reason=reason, put=bucket.__setitem__, **changes
    )
    return bucket


def test_an_object_has_the_shape_of_lambdas_on_failure_record() -> None:
    [body] = dead_letters(DATA.log_events).values()
    record = json.loads(body)
    assert record | {"requestPayload": None} == {
        "version": "1.0",
        "timestamp": "2026-11-20T20:22:43.123Z",
        "requestContext": {"condition": "Rejected"},
        "requestPayload": None,
        "responsePayload": {"errorType": "Rejected", "errorMessage": "too_old"},
    }
    assert records(record["requestPayload"]) == [DATA]


def test_it_holds_only_the_events_that_it_is_about() -> None:
    kept = [DATA.log_events[0], DATA.log_events[2]]
    [body] = dead_letters(kept).values()
    [data] = records(json.loads(body)["requestPayload"])
    assert data == LogData(
        DATA.message_type,
        DATA.owner,
        DATA.log_group,
        DATA.log_stream,
        kept,
        DATA.subscription_filters,
    )


def test_the_key_begins_with_folder_and_time_so_that_a_listing_is_in_order() -> None:
    [key] = dead_letters(DATA.log_events)
    pattern = r"rejected/2026/11/20/2026-11-20T20\.22\.43-[0-9a-f]{32}\.json"
    assert re.fullmatch(pattern, key)
    bucket: dict[str, bytes] = {}
    write_dead_letter(DATA, DATA.log_events, folder="failed", reason="tls", put=bucket.__setitem__)
    assert next(iter(bucket)).startswith("failed/2026/11/20/2026-11-20T20.22.43-")


def test_a_repeat_overwrites_itself() -> None:
    assert dead_letters(DATA.log_events) == dead_letters(DATA.log_events)


def test_other_events_and_another_reason_are_other_objects() -> None:
    keys = [
        *dead_letters(DATA.log_events),
        *dead_letters(DATA.log_events[1:]),
        *dead_letters(DATA.log_events, "too_new"),
    ]
    assert len({*keys}) == 3


@pytest.mark.parametrize("timestamp", [0, 2**63 // 1_000_000 - 1])
def test_any_time_that_a_log_event_may_have_makes_a_key(timestamp: int) -> None:
    assert len(dead_letters([LogEvent("", timestamp, "x")])) == 1


@pytest.mark.parametrize(
    "event",
    [None, "text", {"awslogs": {"data": "not base64!"}}, [1, {}], "half a \ud83d character"],
)
def test_what_cannot_be_decoded_is_kept_as_it_came(event: Any) -> None:
    bucket: dict[str, bytes] = {}
    for _ in range(2):
        write_undecodable(event, reason="the record is not base64", put=bucket.__setitem__)
    [(key, body)] = bucket.items()
    assert key.startswith("rejected/1970/01/01/")
    assert json.loads(body)["requestPayload"] == event
    assert json.loads(body)["responsePayload"]["errorMessage"] == "the record is not base64"
