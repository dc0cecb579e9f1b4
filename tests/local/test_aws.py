"""AWS on this machine delivers what is logged, as CloudWatch Logs would."""

import base64
import gzip
import json
import os
import subprocess
import sys
import uuid
from typing import Any

import pytest
from moto.awslambda.models import LambdaFunction

from loki_shipper.local.aws import ACCOUNT, FunctionFailure, LocalAws, run_aws

REGION = "eu-central-1"


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex}"


def payload(event: dict[str, Any]) -> dict[str, Any]:
    data = gzip.decompress(base64.b64decode(event["awslogs"]["data"]))
    decoded: dict[str, Any] = json.loads(data)
    return decoded


def test_logged_lines_are_delivered_as_a_real_payload(aws: LocalAws, name: str) -> None:
    delivered: list[dict[str, Any]] = []
    aws.create_log_group(name, {})
    aws.subscribe(name, aws.create_function(name, delivered.append))
    aws.put_lines(name, "stream", ["one", "two"])
    [event] = delivered
    data = payload(event)
    assert [log["message"] for log in data.pop("logEvents")] == ["one", "two"]
    assert data == {
        "messageType": "DATA_MESSAGE",
        "owner": ACCOUNT,
        "logGroup": name,
        "logStream": "stream",
        "subscriptionFilters": ["loki-shipper"],
    }


def test_functions_get_their_own_groups_only(aws: LocalAws, name: str) -> None:
    delivered: dict[str, list[dict[str, Any]]] = {f"{name}-a": [], f"{name}-b": []}
    for group, events in delivered.items():
        aws.create_log_group(group, {})
        aws.subscribe(group, aws.create_function(group, events.append))
    aws.put_lines(f"{name}-b", "stream", ["x"])
    aws.put_lines(f"{name}-b", "stream", ["y"])
    assert [len(events) for events in delivered.values()] == [0, 2]


def test_a_function_answers_or_fails_in_lambdas_format(aws: LocalAws, name: str) -> None:
    def deliver(event: dict[str, Any]) -> dict[str, Any]:
        if "fail" in event:
            raise FunctionFailure("not today")
        return {"delivered": 1}

    function = aws.create_function(name, deliver)
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == {"delivered": 1}
    assert "FunctionError" not in answer
    failed = aws.client("lambda").invoke(FunctionName=function, Payload=b'{"fail": 1}')
    assert failed["FunctionError"] == "Unhandled"
    assert json.loads(failed["Payload"].read())["errorMessage"] == "not today"


def test_tags_are_listed(aws: LocalAws, name: str) -> None:
    aws.create_log_group(name, {"team": "payments", "größe": "1 m"})
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"
    assert aws.client("logs").list_tags_for_resource(resourceArn=arn)["tags"] == {
        "team": "payments",
        "größe": "1 m",
    }


def test_another_process_reaches_it_with_its_variables(aws: LocalAws, name: str) -> None:
    aws.create_log_group(name, {})
    script = "import boto3; print(boto3.client('logs').describe_log_groups()['logGroups'])"
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={"PATH": os.defpath, **aws.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert name in answer.stdout


def test_a_failed_delivery_does_not_fail_the_writer(aws: LocalAws, name: str) -> None:
    def fail(_: object) -> None:
        raise LookupError(name)

    aws.create_log_group(name, {})
    aws.subscribe(name, aws.create_function(name, fail))
    aws.put_lines(name, "stream", ["x"])
    assert [str(error) for error in aws.errors] == [name]
    aws.errors.clear()


def test_an_unread_error_shows_at_the_end_and_moto_is_as_before() -> None:
    before = LambdaFunction.invoke
    with pytest.raises(ExceptionGroup, match="deliveries failed"), run_aws() as aws:  # noqa: PT012 -- its end raises
        assert LambdaFunction.invoke is not before
        aws.errors.append(LookupError("unread"))
    assert LambdaFunction.invoke is before


def contents(aws: LocalAws) -> list[Any]:
    return [
        aws.client("logs").describe_log_groups()["logGroups"],
        aws.client("s3").list_buckets()["Buckets"],
        aws.client("lambda").list_functions()["Functions"],
        aws.client("iam").list_roles()["Roles"],
        aws.client("ssm").describe_parameters()["Parameters"],
    ]


def fill(aws: LocalAws, name: str) -> None:
    aws.create_log_group(name, {})
    aws.create_function(name, lambda _: None)
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    aws.client("ssm").put_parameter(Name=name, Value="x", Type="String")


def test_it_starts_empty(name: str) -> None:
    with run_aws() as aws:
        fill(aws, name)
        assert all(contents(aws))
    with run_aws() as aws:
        assert not any(contents(aws))


def test_an_inner_aws_shares_the_data_of_the_outer_one(name: str) -> None:
    with run_aws() as aws:
        fill(aws, name)
        with run_aws() as inner:
            assert contents(inner) == contents(aws)
        assert all(contents(aws))
    with run_aws() as aws:
        assert not any(contents(aws))


def test_after_a_failure_the_next_one_is_empty(name: str) -> None:
    with pytest.raises(LookupError), run_aws() as aws:  # noqa: PT012 -- what is left behind counts
        fill(aws, name)
        raise LookupError
    with run_aws() as aws:
        assert not any(contents(aws))
