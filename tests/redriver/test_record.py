"""A body becomes the log data in it, or a reason why there is none."""

import json
from datetime import UTC, datetime

import pytest

from loki_shipper.local.sample import invocation_event
from loki_shipper.model import LogData
from loki_shipper.redriver.record import NotARecordError, read_stored_records
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
    [record] = read_stored_records(json.dumps(body).encode())
    [data] = record.payloads
    assert (data.log_group, [event.message for event in data.log_events]) == (
        "/ecs/shop",
        ["a line"],
    )


def test_a_control_message_has_no_log_data() -> None:
    control = LogData("CONTROL_MESSAGE", "CloudwatchLogs", "", "", [])
    [record] = read_stored_records(of(invocation_event(control)))
    assert record.payloads == []


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
        (b'{"requestPayload": {"Records": []}}', "undecodable"),
        (b'{"payload": "?"}', "not_json"),
        (b'{"payload": "{\\"Records\\": [{}]}"}', "undecodable"),
    ],
    ids=[
        "empty",
        "gzip",
        "not-utf-8",
        "deep",
        "list",
        "bare-event",
        "no-event",
        "cut-short",
        "no-records",
        "text",
        "no-data",
    ],
)
def test_says_why_a_body_is_no_record(body: bytes, reason: str) -> None:
    with pytest.raises(NotARecordError, match=f"^{reason}$"):
        read_stored_records(body)


def test_takes_each_record_out_of_lambdas_record_of_a_batch() -> None:
    batch = {
        "Records": [
            {
                "kinesis": {
                    "sequenceNumber": "1",
                    "data": timed("/ecs/a", (NOON, "a"))["awslogs"]["data"],
                }
            },
            {"kinesis": {"sequenceNumber": "2", "data": "?"}},
        ]
    }
    body = {
        "version": "1.0",
        "timestamp": "2026-11-20T12:00:00.000Z",
        "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 9},
        "KinesisBatchInfo": {"shardId": "shardId-000000000001", "batchSize": 2},
        "payload": json.dumps(batch),
    }
    good, bad = read_stored_records(json.dumps(body).encode())
    assert [data.log_group for data in good.payloads] == ["/ecs/a"]
    assert (bad.event, bad.fault) == ({"Records": batch["Records"][1:]}, "the record is not base64")
