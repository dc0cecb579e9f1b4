"""A body becomes the log data in it, or a reason why there is none."""

import json
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from loki_shipper.local.sample import invocation_event
from loki_shipper.model import LogData, LogFile, LogSource, log_source
from loki_shipper.redriver.record import NotARecordError, read_stored_records
from loki_shipper.shipper.sources.event import records
from tests.redriver.memory import of, timed

KEY = "failed/2026/11/20/2026-11-20T12.00.00-1.json"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_takes_the_log_data_out_of_lambdas_record() -> None:
    body = {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": timed("/ecs/shop", (NOON, "a line")),
        "responsePayload": {"errorMessage": "no", "errorType": "DeliveryError"},
    }
    [record] = read_stored_records(KEY, json.dumps(body).encode())
    [data] = record.payloads
    assert (data.log_group, [event.message for event in data.log_events]) == (
        "/ecs/shop",
        ["a line"],
    )


def test_a_control_message_has_no_log_data() -> None:
    control = LogData("CONTROL_MESSAGE", "CloudwatchLogs", "", "", [])
    [record] = read_stored_records(KEY, of(invocation_event(control)))
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
        read_stored_records(KEY, body)


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
    good, bad = read_stored_records(KEY, json.dumps(body).encode())
    assert [data.log_group for data in good.payloads] == ["/ecs/a"]
    assert (bad.event, bad.fault) == ({"Records": batch["Records"][1:]}, "the record is not base64")


THEIRS = "first-lines/111111111111/2026/11/20/2026-11-20T12.00.00-1.json"


@pytest.mark.parametrize("folder", ["first-lines", "rejected", "failed"])
def test_payloads_that_another_account_wrote_are_its_own_whatever_they_say(folder: str) -> None:
    event = timed("/ecs/shop", (NOON, "a line"))
    [data] = records(event)
    fields = {"@aws.account": "222222222222", "@aws.region": "us-east-1"}
    forged = [replace(each, extracted_fields=fields) for each in data.log_events]
    body = of(invocation_event(replace(data, owner="222222222222", log_events=forged)))
    [record] = read_stored_records(THEIRS.replace("first-lines", folder), body)
    [found] = record.payloads
    assert log_source(found, "eu-central-1") == LogSource(
        "111111111111", "eu-central-1", "/ecs/shop"
    )
    assert found.owner == "111111111111"


def test_another_account_cannot_say_that_its_lines_are_of_a_log_file() -> None:
    """A log file names the account and the resource that become labels and choose the tenant."""
    [data] = records(timed("/ecs/shop", (NOON, "a line")))
    file = LogFile("our-logs", "k", "alb", "222222222222", "us-east-1", "shop", "loadbalancer/shop")
    body = of(invocation_event(replace(data, log_file=file)))
    [[found]] = [record.payloads for record in read_stored_records(THEIRS, body)]
    assert found.log_file is None
    [[ours]] = [record.payloads for record in read_stored_records(KEY, body)]
    assert ours.log_file == file


def test_an_object_of_another_account_is_not_taken_apart() -> None:
    """A part that was set aside alone would not say any more who wrote it."""
    good = timed("/ecs/shop", (NOON, "a line"))["awslogs"]["data"]
    parts = [{"kinesis": {"data": each, "sequenceNumber": "1"}} for each in (good, "?")]
    body = json.dumps({"requestPayload": {"Records": parts}}).encode()
    assert len(read_stored_records(KEY, body)) == 2
    with pytest.raises(NotARecordError, match="undecodable"):
        read_stored_records(THEIRS, body)
