"""The calls for buckets, through boto3 itself."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto import mock_aws

from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.subscriber.bucket_calls import BucketCalls, EventRule
from loki_shipper.subscriber.clients import connect
from loki_shipper.subscriber.unknown_elements import UNKNOWN_ELEMENTS

ACCOUNT = "123456789012"
CONFIG = {
    "QueueConfigurations": [
        {
            "Id": "x",
            "QueueArn": f"arn:aws:sqs:eu-central-1:{ACCOUNT}:q",
            "Events": ["s3:ObjectCreated:*"],
        }
    ]
}


def calls(account: str = ACCOUNT, *, answer: str = "") -> BucketCalls:
    """Calls to moto, or with an answer to each call in place of it."""
    clients = connect(boto3.Session("testing", "testing", region_name="eu-central-1"))
    if answer:
        clients.s3.meta.events.register("before-send.s3", answers(answer))
    pace = PacedCalls(
        clock=lambda: 0.0, sleep=lambda _: None, remaining=lambda: 60.0, jitter=lambda _: 0.0
    )
    return BucketCalls(clients.s3, clients.event_rules, account, pace)


def answers(body: str) -> Callable[..., AWSResponse]:
    class Raw(BytesIO):
        def stream(self, **_: Any) -> Any:
            yield self.read()

    return lambda request, **_: AWSResponse(request.url, 200, HTTPHeaders(), Raw(body.encode()))


def make_bucket(region: str = "eu-central-1") -> None:
    where: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    client = boto3.client("s3", region_name=region)
    client.create_bucket(Bucket="my-logs", **({} if region == "us-east-1" else where))


@mock_aws
@pytest.mark.parametrize("region", ["eu-central-1", "us-east-1"])
def test_reads_the_region_of_a_bucket(region: str) -> None:
    make_bucket(region)
    assert calls().region("my-logs") == region


def test_reads_the_old_name_of_a_region() -> None:
    answer = "<LocationConstraint>EU</LocationConstraint>"
    assert calls(answer=answer).region("my-logs") == "eu-west-1"


@mock_aws
def test_writes_and_reads_a_configuration() -> None:
    make_bucket()
    assert calls().notifications("my-logs") == {}
    calls().put_notifications("my-logs", CONFIG)
    assert calls().notifications("my-logs") == CONFIG


@mock_aws
def test_a_missing_bucket_has_its_own_code() -> None:
    with pytest.raises(AwsError) as raised:
        calls().region("my-logs")
    assert raised.value.code == "NoSuchBucket"


def test_names_parts_of_a_configuration_that_boto3_does_not_know() -> None:
    answer = """<?xml version="1.0" encoding="UTF-8"?>
    <NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <QueueConfiguration>
        <Id>x</Id><Queue>arn:aws:sqs:eu-central-1:123456789012:q</Queue>
        <Event>s3:ObjectCreated:*</Event><Delay>5</Delay>
      </QueueConfiguration>
      <MqttConfiguration><Id>y</Id></MqttConfiguration>
    </NotificationConfiguration>"""
    found = calls(answer=answer).notifications("my-logs")
    assert found[UNKNOWN_ELEMENTS] == ["Delay", "MqttConfiguration"]
    assert found["QueueConfigurations"][0]["Id"] == "x"


def test_knows_every_part_that_boto3_knows() -> None:
    answer = """<?xml version="1.0" encoding="UTF-8"?>
    <NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
      <TopicConfiguration><Id>t</Id><Topic>arn</Topic><Event>s3:ObjectCreated:*</Event>
        <Filter><S3Key><FilterRule><Name>Prefix</Name><Value>a/</Value></FilterRule></S3Key>
        </Filter></TopicConfiguration>
      <QueueConfiguration><Id>q</Id><Queue>arn</Queue><Event>s3:ObjectCreated:*</Event>
      </QueueConfiguration>
      <CloudFunctionConfiguration><Id>l</Id><CloudFunction>arn</CloudFunction>
        <Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration>
      <EventBridgeConfiguration/>
    </NotificationConfiguration>"""
    found = calls(answer=answer).notifications("my-logs")
    assert found.keys() == {
        "TopicConfigurations",
        "QueueConfigurations",
        "LambdaFunctionConfigurations",
        "EventBridgeConfiguration",
    }


@mock_aws
def test_changes_the_pattern_of_a_rule_and_keeps_its_description_and_targets() -> None:
    rules = boto3.client("events", region_name="eu-central-1")
    rules.put_rule(Name="r", EventPattern='{"source": ["x"]}', State="DISABLED", Description="d")
    target = {"Id": "queue", "Arn": f"arn:aws:sqs:eu-central-1:{ACCOUNT}:q"}
    rules.put_targets(Rule="r", Targets=[target])
    assert calls().rule("r") == EventRule('{"source": ["x"]}', enabled=False)
    calls().put_rule("r", EventRule('{"source": ["aws.s3"]}', enabled=True))
    assert calls().rule("r") == EventRule('{"source": ["aws.s3"]}', enabled=True)
    assert rules.describe_rule(Name="r")["Description"] == "d"
    assert rules.list_targets_by_rule(Rule="r")["Targets"] == [target]
