"""A body becomes the invocation event in it, or a reason why there is none."""

import json

import pytest

from loki_shipper.redriver.record import NotARecordError, log_group, record
from tests.redriver.memory import event
from tests.redriver.memory import record as record_of


def test_takes_the_invocation_event_out_of_lambdas_record() -> None:
    body = {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": {"awslogs": {"data": "H4sI"}},
        "responsePayload": {"errorMessage": "no", "errorType": "DeliveryError"},
    }
    assert record(json.dumps(body).encode()) == {"awslogs": {"data": "H4sI"}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"\x1f\x8b\x08", "not_json"),
        (b'{"requestPayload": "\xff"}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[]", "no_record"),
        (b'{"awslogs": {"data": "H4sI"}}', "no_record"),
    ],
    ids=["empty", "gzip", "not-utf-8", "deep", "list", "bare-event"],
)
def test_says_why_a_body_is_no_record(body: bytes, reason: str) -> None:
    with pytest.raises(NotARecordError, match=f"^{reason}$"):
        record(body)


def test_tells_whose_lines_an_event_holds() -> None:
    assert log_group(record(record_of("/ecs/shop"))) == ("123456789012", "/ecs/shop")
    assert log_group(event("/ecs/other")) == ("123456789012", "/ecs/other")


def test_an_event_without_lines_is_nobodys() -> None:
    assert log_group({"awslogs": {"data": "no record"}}) is None
    assert log_group(None) is None
