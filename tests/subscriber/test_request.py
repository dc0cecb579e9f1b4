"""Events become requests, or are ignored or refused."""

from typing import Any

import pytest

from loki_shipper.subscriber.request import (
    GroupsChanged,
    Ignored,
    RequestError,
    StackChanged,
    Sweep,
    request,
)

ARN = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/pay"


def called(name: str, **detail: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "source": "aws.logs",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {"eventSource": "logs.amazonaws.com", "eventName": name, **detail},
    }


@pytest.mark.parametrize(
    "event",
    [
        called("CreateLogGroup", requestParameters={"logGroupName": "/aws/lambda/pay"}),
        called("DeleteLogGroup", requestParameters={"logGroupName": "/aws/lambda/pay"}),
        called("TagLogGroup", requestParameters={"logGroupName": "/aws/lambda/pay", "tags": {}}),
        called("UntagLogGroup", requestParameters={"logGroupName": "/aws/lambda/pay"}),
        called("TagResource", requestParameters={"resourceArn": ARN, "tags": {"team": "x"}}),
        called("UntagResource", requestParameters={"resourceArn": f"{ARN}:*", "tagKeys": ["a"]}),
        {"action": "look", "groups": ["/aws/lambda/pay"]},
    ],
    ids=lambda event: event.get("detail", event).get("eventName", "look"),
)
def test_names_the_log_group_that_changed(event: dict[str, Any]) -> None:
    assert request(event) == GroupsChanged(("/aws/lambda/pay",))


@pytest.mark.parametrize(
    "event",
    [
        called(
            "CreateLogGroup",
            requestParameters={"logGroupName": "/aws/lambda/pay"},
            errorCode="ResourceAlreadyExistsException",
        ),
        called("TagResource", requestParameters={"resourceArn": ARN.replace("log-group", "dest")}),
        called("PutRetentionPolicy", requestParameters={"logGroupName": "/aws/lambda/pay"}),
        called("CreateLogGroup", requestParameters=None),
    ],
    ids=["a call that failed", "not a log group", "another call", "no parameters"],
)
def test_ignores_events_that_change_no_log_group(event: dict[str, Any]) -> None:
    assert request(event) == Ignored()


@pytest.mark.parametrize(
    "event",
    [{"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, {"action": "sweep"}],
    ids=["schedule", "caller"],
)
def test_sweeps_on_schedule_and_on_request(event: dict[str, Any]) -> None:
    assert request(event) == Sweep()


@pytest.mark.parametrize("kind", ["Create", "Update", "Delete"])
def test_reads_events_of_the_stack(kind: Any) -> None:
    event = {"RequestType": kind, "ResponseURL": "https://example.com/a", "StackId": "s"}
    assert request(event) == StackChanged(kind, "https://example.com/a", event)


@pytest.mark.parametrize(
    "event", [None, {}, [], {"action": "look", "groups": [1]}, {"awslogs": {"data": ""}}]
)
def test_refuses_unknown_events(event: Any) -> None:
    with pytest.raises(RequestError):
        request(event)
