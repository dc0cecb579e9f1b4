"""A body becomes the log data in it, or a reason why there is none."""

import json
from datetime import UTC, datetime

import pytest

from loki_shipper.local.sample import invocation_event
from loki_shipper.model import LogData
from loki_shipper.redriver.record import NotARecordError, read_log_data
from tests.redriver.memory import of, timed

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_takes_the_log_data_out_of_lambdas_record() -> None:
    body = {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": timed("/ecs/shop", (NOON, "a line")),
        "responsePayload": {"errorMessage": "no", "errorType": "DeliveryError"},
    }
    [data] = read_log_data(json.dumps(body).encode())
    assert (data.log_group, [event.message for event in data.log_events]) == (
        "/ecs/shop",
        ["a line"],
    )


def test_a_control_message_has_no_log_data() -> None:
    control = LogData("CONTROL_MESSAGE", "CloudwatchLogs", "", "", [])
    assert read_log_data(of(invocation_event(control))) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"\x1f\x8b\x08", "not_json"),
        (b'{"requestPayload": "\xff"}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "no_record"),
        (b'{"awslogs": {"data": "H4sI"}}', "no_record"),
        (b'{"requestPayload": null}', "undecodable"),
        (b'{"requestPayload": {"awslogs": {"data": "H4sI"}}}', "undecodable"),
    ],
    ids=["empty", "gzip", "not-utf-8", "deep", "list", "bare-event", "no-event", "cut-short"],
)
def test_says_why_a_body_is_no_record(body: bytes, reason: str) -> None:
    with pytest.raises(NotARecordError, match=f"^{reason}$"):
        read_log_data(body)
