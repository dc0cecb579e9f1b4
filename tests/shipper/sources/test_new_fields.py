"""A field that AWS adds to an event, a record or a log event stops no delivery."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from loki_shipper.local.runtime_api import FunctionError
from loki_shipper.redriver.record import read_stored_records
from loki_shipper.shipper.sources.event import read_records
from tools.asynchronous import on_failure

LOG_DATA = {
    "messageType": "DATA_MESSAGE",
    "owner": "123456789012",
    "logGroup": "/ecs/shop",
    "logStream": "s",
    "subscriptionFilters": ["loki-shipper"],
    "policyLevel": "ACCOUNT_LEVEL_POLICY",
    "logEvents": [
        {
            "id": "1",
            "timestamp": 1_000,
            "message": "a",
            "extractedFields": {"@aws.account": "123456789012", "@aws.region": "eu-central-1"},
        },
        {"id": "2", "timestamp": 2_000, "message": "b"},
    ],
}
NEW = [None, True, 7, 1.5, "text", [1, {"a": None}], {"systemGeneratedTags": {"a": ["b"]}}]
"""Values of a new field."""


def subscription(packed: str) -> Any:
    return {"awslogs": {"data": packed}}


def kinesis(packed: str) -> Any:
    record = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "p",
            "sequenceNumber": "1",
            "data": packed,
            "approximateArrivalTimestamp": 1545084650.987,
        },
        "eventSource": "aws:kinesis",
        "eventID": "shardId-000000000006:1",
    }
    return {"Records": [record, record]}


def asynchronous_failure(packed: str) -> Any:
    error = FunctionError("not delivered", "DeliveryError", [])
    _, body = on_failure(subscription(packed), error, datetime.now(UTC))
    return json.loads(body)


def kinesis_failure(packed: str) -> Any:
    return {
        "requestContext": {"requestId": "r", "condition": "RetryAttemptsExhausted"},
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-11-30T00:00:00.000Z",
        "KinesisBatchInfo": {"shardId": "shardId-000000000006", "batchSize": 2},
        "payload": kinesis(packed),
    }


def of_event(event: Any) -> list[str]:
    return [
        line.message
        for record in read_records(event)
        for data in record.payloads
        for line in data.log_events
    ]


def of_stored(stored: Any) -> list[str]:
    if "payload" in stored:
        stored = {**stored, "payload": json.dumps(stored["payload"])}
    return [
        line.message
        for record in read_stored_records("aws/lambda/x", json.dumps(stored).encode())
        for data in record.payloads
        for line in data.log_events
    ]


def pack(log_data: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(log_data).encode())).decode()


def extended(value: Any, new: Any) -> Iterator[Any]:
    """Give copies of a value, each with a new field in another one of its objects."""
    match value:
        case dict():
            yield {"aNewField": new, **value}
            yield {**value, "zNewField": new}
            for key, each in value.items():
                yield from ({**value, key: other} for other in extended(each, new))
        case list():
            for place, each in enumerate(value):
                for other in extended(each, new):
                    yield [*value[:place], other, *value[place + 1 :]]
        case _:
            return


ENVELOPES: list[tuple[Callable[[str], Any], Callable[[Any], list[str]], int]] = [
    (subscription, of_event, 1),
    (kinesis, of_event, 2),
    (asynchronous_failure, of_stored, 1),
    (kinesis_failure, of_stored, 2),
]


@pytest.mark.parametrize(
    ("envelope", "read", "records"), ENVELOPES, ids=[each[0].__name__ for each in ENVELOPES]
)
def test_a_new_field_at_any_level_loses_no_line(
    envelope: Callable[[str], Any], read: Callable[[Any], list[str]], records: int
) -> None:
    tried = 0
    for new in NEW:
        for event in extended(envelope(pack(LOG_DATA)), new):
            assert read(event) == ["a", "b"] * records
            tried += 1
        for log_data in extended(LOG_DATA, new):
            assert sorted(read(envelope(pack(log_data)))) == sorted(["a", "b"] * records)
            tried += 1
    assert tried > 8 * len(NEW)
