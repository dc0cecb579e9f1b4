"""A stack is made, updated and deleted, and what fails names the resource and what to do."""

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from loki_shipper.deployment.stack import (
    Stack,
    StackError,
    delete,
    execute,
    finish_rollback,
    prepare,
    read_stack,
    wait,
)
from loki_shipper.local.aws import LocalAws
from tests.deployment.cloudformation import CloudFormation, run_cloudformation

REGION = "eu-west-1"
TEMPLATE: dict[str, Any] = {
    "Parameters": {"Size": {"Type": "String", "Default": "1"}, "Url": {"Type": "String"}},
    "Resources": {
        "Role": {"Type": "AWS::IAM::Role"},
        "ShipperFunction": {"Type": "AWS::Serverless::Function"},
        "Links": {"Type": "Custom::Links"},
    },
}


def no_sleep(_: float) -> None: ...


@pytest.fixture
def service(aws: LocalAws) -> Iterator[CloudFormation]:
    with run_cloudformation(aws) as service:
        yield service


@pytest.fixture
def client(service: CloudFormation) -> Any:
    return boto3.client(
        "cloudformation",
        endpoint_url=service.url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


@pytest.fixture
def url(aws: LocalAws) -> str:
    s3, bucket = aws.client("s3"), "templates"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=bucket, Key="t.json", Body=json.dumps(TEMPLATE))
    return f"{aws.url}/{bucket}/t.json"


def value(key: str, text: str) -> dict[str, Any]:
    return {"ParameterKey": key, "ParameterValue": text}


def make(client: Any, url: str, *parameters: dict[str, Any]) -> list[str]:
    stack = read_stack(client, "one")
    change_set = prepare(client, stack, url, [*parameters], no_sleep)
    assert change_set is not None
    events = execute(client, stack, change_set, no_sleep)
    return [f"{event.resource} {event.status}" for event in events]


def test_a_stack_that_does_not_exist_is_absent(client: Any) -> None:
    assert read_stack(client, "one") == Stack("one")
    assert read_stack(client, "one").phase == "absent"


def test_each_resource_is_reported_once_in_order(client: Any, url: str) -> None:
    told = make(client, url, value("Url", "http://loki"))
    assert [each for each in told if each.endswith("COMPLETE")] == [
        "Role CREATE_COMPLETE",
        "ShipperFunction CREATE_COMPLETE",
        "Links CREATE_COMPLETE",
        "one CREATE_COMPLETE",
    ]
    assert len(told) == len(set(told))
    made = read_stack(client, "one")
    assert (made.phase, made.parameters) == ("ready", {"Size": "1", "Url": "http://loki"})


def test_an_update_reports_only_its_own_events_and_keeps_parameters(client: Any, url: str) -> None:
    make(client, url, value("Url", "http://loki"), value("Size", "2"))
    kept = {"ParameterKey": "Size", "UsePreviousValue": True}
    told = make(client, url, value("Url", "http://other"), kept)
    assert not [each for each in told if "CREATE" in each]
    assert read_stack(client, "one").parameters == {"Size": "2", "Url": "http://other"}


def test_an_update_without_changes_leaves_no_change_set(
    client: Any, url: str, service: CloudFormation
) -> None:
    make(client, url, value("Url", "http://loki"))
    same = {"ParameterKey": "Url", "UsePreviousValue": True}
    assert prepare(client, read_stack(client, "one"), url, [same], no_sleep) is None
    assert service.changes[-1] == "DeleteChangeSet"


@pytest.mark.parametrize(
    ("failure", "advice"),
    [
        (("Role", "You are not authorized to perform: iam:CreateRole"), "get the right"),
        (("Role", "one-role already exists"), "choose another --stack"),
        (("ShipperFunction", "Specified ReservedConcurrentExecutions concurrency"), "set Reserved"),
        (("Links", "AccessDeniedException on PutSubscriptionFilter"), "get the right"),
        (("Links", "nothing could be linked"), "log group of the subscriber"),
        (("ShipperFunction", "Internal Failure"), "repeat the command"),
    ],
)
def test_a_failure_names_the_resource_its_reason_and_what_to_do(
    client: Any, url: str, service: CloudFormation, failure: tuple[str, str], advice: str
) -> None:
    resource, reason = failure
    service.fails = {resource: reason}
    with pytest.raises(StackError) as raised:
        make(client, url, value("Url", "http://loki"))
    said = f"{raised.value}"
    assert re.match(rf"{resource} \((AWS|Custom)::[A-Za-z:]+\) failed: {reason}\n", said)
    assert advice in said
    assert read_stack(client, "one").phase == "broken"


def test_a_failed_update_leaves_a_stack_that_can_be_updated(
    client: Any, url: str, service: CloudFormation
) -> None:
    make(client, url, value("Url", "http://loki"))
    service.fails = {"Links": "denied"}
    with pytest.raises(StackError, match="Links"):
        make(client, url, value("Url", "http://other"))
    service.fails = {}
    assert read_stack(client, "one").parameters["Url"] == "http://loki"
    make(client, url, value("Url", "http://other"))
    assert read_stack(client, "one").parameters["Url"] == "http://other"


def test_a_deletion_is_followed_to_its_end(client: Any, url: str) -> None:
    make(client, url, value("Url", "http://loki"))
    events = delete(client, read_stack(client, "one"), no_sleep)
    assert [event.resource for event in events] == ["Links", "ShipperFunction", "Role", "one"]
    assert read_stack(client, "one").phase == "absent"


def test_an_operation_that_somebody_else_started_is_awaited(
    client: Any, url: str, service: CloudFormation
) -> None:
    make(client, url, value("Url", "http://loki"))
    service.stacks["one"].status = "UPDATE_IN_PROGRESS"
    service.stacks["one"].pending = [("Role", "UPDATE_IN_PROGRESS", "")]
    slept: list[float] = []
    assert wait(client, Stack("one", "one", "UPDATE_IN_PROGRESS"), slept.append).phase == "ready"
    assert slept


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("ROLLBACK_COMPLETE", "broken"),
        ("CREATE_FAILED", "broken"),
        ("UPDATE_ROLLBACK_FAILED", "stuck"),
        ("UPDATE_ROLLBACK_COMPLETE", "ready"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "busy"),
        ("REVIEW_IN_PROGRESS", "absent"),
    ],
)
def test_the_phase_says_what_can_be_done(status: str, phase: str) -> None:
    assert Stack("one", "arn", status).phase == phase


def test_a_stuck_rollback_is_finished(client: Any, url: str, service: CloudFormation) -> None:
    make(client, url, value("Url", "http://loki"))
    stack = service.stacks["one"]
    stack.status = "UPDATE_ROLLBACK_FAILED"
    told = finish_rollback(client, read_stack(client, "one"), no_sleep)
    assert [event.status for event in told][-1] == "UPDATE_ROLLBACK_COMPLETE"
    assert read_stack(client, "one").phase == "ready"
