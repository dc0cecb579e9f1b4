"""The AWS of these tests does as AWS does, where LocalStack does not."""

import base64
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack, awaited

OWN_LOG = "/aws/lambda/app"
CODE = """
import json, os, time

def handle(event, context):
    match event:
        case {"fail": message}:
            raise ValueError(message)
        case {"sleep": seconds}:
            time.sleep(seconds)
        case {"exit": code}:
            os._exit(code)
    print("got " + json.dumps(event))
    return {"arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis()}
"""


def archive(code: str = CODE) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("app.py", code)
    return content.getvalue()


@pytest.fixture(scope="module")
def place(cloud: Cloud) -> Stack:
    """A Region with a function `app`, its alias `live` and a bucket for what fails."""
    place = Stack(cloud, "none", "ap-south-1")
    place.create_foreign_function("app", archive(), Timeout=1)
    functions = place.client("lambda")
    functions.create_alias(FunctionName="app", Name="live", FunctionVersion="$LATEST")
    place.client("s3").create_bucket(
        Bucket="failed", CreateBucketConfiguration={"LocationConstraint": place.region}
    )
    functions.put_function_event_invoke_config(
        FunctionName="app",
        Qualifier="live",
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::failed"}},
    )
    return place


def invoke(place: Stack, event: Any, name: str = "app", kind: str = "RequestResponse") -> Any:
    answer = place.client("lambda").invoke(
        FunctionName=name, InvocationType=kind, Payload=json.dumps(event).encode()
    )
    return json.loads(answer["Payload"].read() or b"null")


def arn(place: Stack, name: str = "app") -> str:
    return f"arn:aws:lambda:{place.region}:{place.account}:function:{name}"


def delivered(place: Stack, group: str) -> list[dict[str, Any]]:
    """Give what the function got of a log group."""
    events = [
        json.loads(line.removeprefix("got "))
        for line in place.own_log(OWN_LOG).splitlines()
        if line.startswith('got {"awslogs"')
    ]
    data = [json.loads(gzip.decompress(base64.b64decode(e["awslogs"]["data"]))) for e in events]
    return [each for each in data if each["logGroup"] == group]


def test_a_function_runs_and_knows_how_it_was_invoked(place: Stack) -> None:
    answer = invoke(place, {}, arn(place, "app:live"))
    assert answer["arn"] == arn(place, "app:live")
    assert 0 < answer["left"] <= 1000


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"fail": "no"}, ("ValueError", "no")),
        ({"sleep": 9}, (None, "ID Task timed out after 1.00 seconds")),
        ({"exit": 3}, ("Runtime.ExitError", "RequestId: ID Error: Runtime exited")),
    ],
)
def test_a_function_fails_as_on_lambda_and_handles_the_next_event(
    place: Stack, event: dict[str, Any], error: tuple[str | None, str]
) -> None:
    answer = invoke(place, event)
    assert (
        answer.get("errorType"),
        re.sub(r"[0-9a-f-]{36}", "ID", answer["errorMessage"]),
    ) == error
    assert "arn" in invoke(place, {})


def test_an_event_to_an_alias_is_retried_and_kept_by_the_settings_of_the_alias(
    place: Stack,
) -> None:
    invoke(place, {"fail": "once more"}, arn(place, "app:live"), "Event")
    s3 = place.client("s3")
    [found] = awaited(lambda: s3.list_objects_v2(Bucket="failed").get("Contents", []))
    assert found["Key"].startswith("aws/lambda/async/app/")
    kept = json.loads(s3.get_object(Bucket="failed", Key=found["Key"])["Body"].read())
    assert kept["requestPayload"] == {"fail": "once more"}
    assert kept["requestContext"]["approximateInvokeCount"] == 2


def test_no_event_and_no_log_is_lost_while_the_function_is_changed(place: Stack) -> None:
    functions = place.client("lambda")
    # It may take its time: on a busy machine the event is to be late, not to fail.
    place.create_foreign_function("changed", archive(), Timeout=60)
    for number in range(20):
        invoke(place, {"number": number}, "changed", kind="Event")
        if number % 5 == 0:
            functions.update_function_configuration(
                FunctionName="changed", Description=f"changed for the {number}th time"
            )
            functions.get_waiter("function_updated_v2").wait(
                FunctionName="changed", WaiterConfig={"Delay": 1}
            )
    awaited(lambda: not set(range(20)) - logged(place, "/aws/lambda/changed"))


def logged(place: Stack, group: str) -> set[int]:
    """Give the numbers that a function got, by its log."""
    if group not in place.log_groups():
        return set()
    return {int(number) for number in re.findall(r'got {"number": (\d+)}', place.own_log(group))}


def test_the_configuration_of_an_alias_can_be_read(place: Stack) -> None:
    read = place.client("lambda").get_function_configuration
    assert read(FunctionName=arn(place, "app:live"))["Timeout"] == 1


def test_a_filter_needs_the_right_to_invoke(place: Stack) -> None:
    functions = place.client("lambda")
    functions.create_alias(FunctionName="app", Name="closed", FunctionVersion="$LATEST")
    place.create_log_group("/needs/a/right")
    with pytest.raises(ClientError, match="Could not execute the lambda function"):
        put_filter(place, "/needs/a/right", "mine", arn(place, "app:closed"))


def put_filter(place: Stack, group: str, name: str, destination: str) -> None:
    place.client("logs").put_subscription_filter(
        logGroupName=group, filterName=name, filterPattern="", destinationArn=destination
    )


def test_each_of_two_filters_sends_each_line_once_and_either_can_be_changed(place: Stack) -> None:
    place.create_log_group("/two/filters")
    for name in ("a", "b", "a"):
        put_filter(place, "/two/filters", name, arn(place))
    with pytest.raises(ClientError, match="LimitExceeded"):
        put_filter(place, "/two/filters", "c", arn(place))
    place.client("logs").create_log_stream(logGroupName="/two/filters", logStreamName="other")
    place.log("/two/filters", ["one", "two"])
    awaited(lambda: len(delivered(place, "/two/filters")) == 2)
    got = delivered(place, "/two/filters")
    assert sorted(each["subscriptionFilters"] for each in got) == [["a"], ["b"]]
    for each in got:
        assert [event["message"] for event in each["logEvents"]] == ["one", "two"]
        assert all(len(event["id"]) == 56 for event in each["logEvents"])


def test_a_filter_of_a_template_has_its_name_there(place: Stack) -> None:
    place.create_log_group("/of/a/template")
    properties = {
        "LogGroupName": "/of/a/template",
        "FilterName": "named",
        "FilterPattern": "",
        "DestinationArn": arn(place),
    }
    resource = {"Type": "AWS::Logs::SubscriptionFilter", "Properties": properties}
    formation = place.client("cloudformation")
    formation.create_stack(
        StackName="filter", TemplateBody=json.dumps({"Resources": {"Filter": resource}})
    )
    formation.get_waiter("stack_create_complete").wait(
        StackName="filter", WaiterConfig={"Delay": 1}
    )
    assert place.filters("/of/a/template") == {"named": arn(place)}
    formation.delete_stack(StackName="filter")
    formation.get_waiter("stack_delete_complete").wait(
        StackName="filter", WaiterConfig={"Delay": 1}
    )
    assert place.filters("/of/a/template") == {}


def test_lines_for_a_deleted_function_are_lost_and_logging_continues(place: Stack) -> None:
    place.create_foreign_function("gone", archive())
    place.create_log_group("/gone")
    put_filter(place, "/gone", "mine", arn(place, "gone"))
    place.client("lambda").delete_function(FunctionName="gone")
    place.log("/gone", ["line"])
    assert place.own_log("/gone") == "line"


@pytest.fixture
def policy(place: Stack) -> Iterator[str]:
    logs = place.client("logs")
    logs.put_account_policy(
        policyName="mine",
        policyType="SUBSCRIPTION_FILTER_POLICY",
        policyDocument=json.dumps({"DestinationArn": arn(place), "FilterPattern": ""}),
        selectionCriteria='LogGroupName NOT IN ["/policy/not"]',
    )
    yield "mine"
    logs.delete_account_policy(policyName="mine", policyType="SUBSCRIPTION_FILTER_POLICY")


def test_an_account_policy_sends_all_but_what_it_excludes(place: Stack, policy: str) -> None:
    for group in ("/policy/not", "/policy/all"):
        place.create_log_group(group)
        place.log(group, ["line"])
    [got] = awaited(lambda: delivered(place, "/policy/all"))
    assert (got["subscriptionFilters"], got["policyLevel"]) == ([policy], "ACCOUNT_LEVEL_POLICY")
    assert delivered(place, "/policy/not") == []
    # What the function itself logs is left out too: it would never end.
    assert delivered(place, OWN_LOG) == []


def test_an_object_is_deleted_only_with_the_etag_that_was_read(place: Stack) -> None:
    s3 = place.client("s3")
    tag = s3.put_object(Bucket="failed", Key="seen", Body=b"1")["ETag"]
    s3.put_object(Bucket="failed", Key="seen", Body=b"2")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.delete_object(Bucket="failed", Key="seen", IfMatch=tag)
    answer = s3.delete_objects(
        Bucket="failed", Delete={"Objects": [{"Key": "seen", "ETag": tag}], "Quiet": True}
    )
    assert [error["Code"] for error in answer["Errors"]] == ["PreconditionFailed"]
    now = s3.head_object(Bucket="failed", Key="seen")["ETag"]
    s3.delete_object(Bucket="failed", Key="seen", IfMatch=now)
    assert s3.list_objects_v2(Bucket="failed", Prefix="seen")["KeyCount"] == 0


def test_tags_are_kept_and_found(place: Stack) -> None:
    place.create_log_group("/tagged/later")
    name = f"arn:aws:logs:{place.region}:{place.account}:log-group:/tagged/later"
    place.client("logs").tag_resource(resourceArn=name, tags={"team": "shop"})
    pages = place.client("resourcegroupstaggingapi").get_resources(ResourceTypeFilters=["logs"])
    found = {each["ResourceARN"]: each["Tags"] for each in pages["ResourceTagMappingList"]}
    assert found[name] == [{"Key": "team", "Value": "shop"}]


def test_accounts_and_regions_are_separate(cloud: Cloud, place: Stack) -> None:
    for other in (
        Stack(cloud, "none", place.region, "222222222222"),
        Stack(cloud, "none", "ap-south-2"),
    ):
        other.create_foreign_function("app", archive())
        assert invoke(other, {})["arn"] == arn(other)
        other.create_log_group("/apart")
        assert set(other.log_groups()) <= {"/apart", "/aws/lambda/app"}


def conditional(wanted: str) -> dict[str, Any]:
    """Give the arguments of a stack with a queue, and three resources on a condition."""
    template: dict[str, Any] = {
        "Parameters": {"Wanted": {"Type": "String", "Default": "no"}},
        "Conditions": {"IsWanted": {"Fn::Equals": [{"Ref": "Wanted"}, "yes"]}},
        "Resources": {
            "Always": {"Type": "AWS::SQS::Queue"},
            "First": {"Type": "AWS::SQS::Queue", "Condition": "IsWanted"},
            "Named": {
                "Type": "AWS::Logs::LogGroup",
                "Condition": "IsWanted",
                "Properties": {"LogGroupName": "group"},
            },
            "Second": {
                "Type": "AWS::SQS::Queue",
                "Condition": "IsWanted",
                "Properties": {
                    "QueueName": {"Fn::Sub": "second-${Named}"},
                    "RedrivePolicy": {
                        "deadLetterTargetArn": {"Fn::GetAtt": ["First", "Arn"]},
                        "maxReceiveCount": 1,
                    },
                },
            },
        },
    }
    template["Outputs"] = {
        "SecondArn": {"Condition": "IsWanted", "Value": {"Fn::GetAtt": ["Second", "Arn"]}}
    }
    return {
        "StackName": "conditions",
        "TemplateBody": json.dumps(template),
        "Parameters": [{"ParameterKey": "Wanted", "ParameterValue": wanted}],
    }


def made(place: Stack, step: str) -> tuple[set[str], int]:
    """Wait for a stack, and give the resources and the number of outputs that it has."""
    formation = place.client("cloudformation")
    formation.get_waiter(f"stack_{step}_complete").wait(
        StackName="conditions", WaiterConfig={"Delay": 1}
    )
    found = formation.describe_stack_resources(StackName="conditions")["StackResources"]
    [stack] = formation.describe_stacks(StackName="conditions")["Stacks"]
    there = {
        each["LogicalResourceId"] for each in found if each["ResourceStatus"] != "DELETE_COMPLETE"
    }
    return there, len(stack.get("Outputs", []))


def test_a_resource_and_an_output_without_their_condition_are_not_read(place: Stack) -> None:
    formation = place.client("cloudformation")
    formation.create_stack(**conditional("no"))
    assert made(place, "create") == ({"Always"}, 0)
    formation.update_stack(**conditional("yes"))
    assert made(place, "update") == ({"Always", "First", "Named", "Second"}, 1)
    # The update removes a resource together with another one that it names.
    formation.update_stack(**conditional("no"))
    assert made(place, "update") == ({"Always"}, 0)
