"""Notifications of S3 name their objects in every envelope, and nothing else stops the queue."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.model import S3Object
from loki_shipper.shipper.sources.notifications import (
    Notification,
    NotificationError,
    read_notification,
    write_notification,
)

KEY = "AWSLogs/123456789012/elb/größe/a b+c=d%&.log.gz"
ENCODED = "AWSLogs/123456789012/elb/gr%C3%B6%C3%9Fe/a+b%2Bc%3Dd%25%26.log.gz"
OBJECT = S3Object(
    "my-logs",
    KEY,
    version="v1",
    etag="0123abc",
    size=1024,
    written=1_795_998_600_123,
    region="eu-central-1",
)


def record(name: str = "ObjectCreated:Put", **others: Any) -> dict[str, Any]:
    """After AWS's page on the structure of notifications."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2026-11-30T00:30:00.123Z",
        "eventName": name,
        "userIdentity": {"principalId": "AWS:AIDA"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "1"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "loki-shipper",
            "bucket": {"name": "my-logs", "ownerIdentity": {}, "arn": "arn:aws:s3:::my-logs"},
            "object": {
                "key": ENCODED,
                "size": 1024,
                "eTag": "0123abc",
                "versionId": "v1",
                "sequencer": "0055AED6DCD90281E5",
                "systemGeneratedTags": {"a": ["b"]},
            },
        },
    } | others


def event_bridge(kind: str = "Object Created", **others: Any) -> dict[str, Any]:
    """After AWS's page on events of S3 in EventBridge."""
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "123456789012",
        "time": "2026-11-30T00:30:00.123Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:s3:::my-logs"],
        "detail": {
            "version": "0",
            "bucket": {"name": "my-logs"},
            "object": {
                "key": KEY,
                "size": 1024,
                "etag": "0123abc",
                "version-id": "v1",
                "sequencer": "617f08299329d189",
            },
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "123456789012",
            "reason": "PutObject",
        },
    } | others


def sns(content: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": "arn:aws:sns:eu-central-1:123456789012:topic",
        "Subject": "Amazon S3 Notification",
        "Message": json.dumps(content),
        "Timestamp": "2026-11-30T00:30:01.000Z",
        "SignatureVersion": "1",
    }


DIRECT = {"Records": [record()]}
ENVELOPES = {
    "S3": DIRECT,
    "SNS around S3": sns(DIRECT),
    "EventBridge": event_bridge(),
    "SNS around EventBridge": sns(event_bridge()),
}


@pytest.mark.parametrize("content", ENVELOPES.values(), ids=ENVELOPES)
def test_an_object_is_named_in_every_envelope(content: Any) -> None:
    assert read_notification(json.dumps(content)) == Notification((OBJECT,))


@pytest.mark.parametrize("content", ENVELOPES.values(), ids=ENVELOPES)
def test_a_field_that_aws_adds_anywhere_is_ignored(content: Any) -> None:
    assert read_notification(json.dumps(_with_news(content))) == Notification((OBJECT,))


def _with_news(content: Any) -> Any:
    match content:
        case dict():
            added = {name: _with_news(value) for name, value in content.items()}
            return added | {"systemGeneratedTags": {"a": [None, 1]}}
        case [*items]:
            return [_with_news(each) for each in items]
        case _:
            return content


def test_a_message_may_name_several_objects_or_the_same_one_twice() -> None:
    body = json.dumps({"Records": [record(), record("ObjectCreated:Copy")]})
    assert read_notification(body) == Notification((OBJECT, OBJECT))


@pytest.mark.parametrize(
    "content",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "t", "Bucket": "my-logs"},
        sns({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "my-logs"}),
        {"Records": [record("ObjectRemoved:Delete"), record("ObjectTagging:Put")]},
        {"Records": []},
        event_bridge("Object Deleted"),
        event_bridge("Object Tags Added"),
    ],
)
def test_other_events_of_s3_name_no_object(content: Any) -> None:
    assert read_notification(json.dumps(content)) == Notification()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("hunter2", "the message is not JSON"),
        ("[" * 100_000, "the message is not JSON"),
        ('"hunter2"', "the message is no notification of S3"),
        ("{}", "the message is no notification of S3"),
        (json.dumps(sns({"hunter2": 1})), "the message is no notification of S3"),
        (json.dumps({"Type": "Notification", "Message": "hunter2"}), "the message is not JSON"),
        (json.dumps({"Records": [1]}), "a record of the message is no notification of S3"),
        (json.dumps({"Records": [{"body": "x"}]}), "a record of the message is no"),
        (json.dumps(event_bridge(detail={"bucket": 1})), "the event names no object"),
    ],
)
def test_another_message_is_a_fault_that_does_not_repeat_it(body: str, reason: str) -> None:
    with pytest.raises(NotificationError, match=reason) as raised:
        read_notification(body)
    assert "hunter2" not in str(raised.value)


def test_a_field_that_is_missing_or_broken_is_unknown() -> None:
    of_object = {"key": "k", "size": "large", "eTag": "", "versionId": 7}
    broken = record(awsRegion="evil.example/", eventTime="yesterday", s3={"bucket": {"name": "b"}})
    broken["s3"]["object"] = of_object
    assert read_notification(json.dumps({"Records": [broken]})).objects == (S3Object("b", "k"),)


OBJECTS = st.builds(
    S3Object,
    st.text(min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    version=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    etag=st.none() | st.text("0123456789abcdef-", min_size=1),
    size=st.none() | st.integers(0, 2**50),
    written=st.none() | st.integers(0, 4_000_000_000_000),
    region=st.sampled_from([None, "eu-central-1", "us-gov-west-1", "eusc-de-east-1"]),
)


@given(st.lists(OBJECTS, max_size=3), st.integers(0, 9))
def test_what_the_shipper_sends_to_its_own_queue_is_read_as_it_was(
    objects: list[S3Object], returns: int
) -> None:
    body = write_notification(objects, returns)
    assert read_notification(body) == Notification(tuple(objects), returns)
