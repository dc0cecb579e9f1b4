"""The checks of a deployed stack, on AWS on loopback, with a stand-in for IAM."""

import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.deployed_functions import DeployedFunction, function_named
from loki_shipper.doctor.deployed_stack import DoctorClients, read_deployed_stack
from loki_shipper.doctor.finding import Finding, Level
from loki_shipper.doctor.rights import rights
from loki_shipper.doctor.stack import LOG_GROUP, check_stack
from loki_shipper.local.aws import LocalAws
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.labels.tag_index import Tagged, TagIndex, encode_index, index_key
from loki_shipper.shipper.sources.event import records
from loki_shipper.subscriber.memory import GroupState, Memory, encode_memory, memory_key
from loki_shipper.subscriber.model import Filter, Filters

NOW = datetime.now(UTC)
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:loki-a1b2c3"


class Iam:
    """Stands in for IAM's policy simulator; denies actions by prefix."""

    def __init__(self) -> None:
        self.denied: tuple[str, ...] = ()
        self.asked: list[tuple[str, str, str]] = []

    def simulate_principal_policy(self, **asked: Any) -> dict[str, Any]:
        [resource] = asked["ResourceArns"]
        results = []
        for action in asked["ActionNames"]:
            self.asked.append((asked["PolicySourceArn"], action, resource))
            denied = f"{action} {resource}".startswith(self.denied) and self.denied
            decision = "implicitDeny" if denied else "allowed"
            results.append({"EvalActionName": action, "EvalDecision": decision})
        return {"EvaluationResults": results}


class Functions:
    """Lambda of moto, with the test's answer to invocations."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.answer: dict[str, Any] = {"Payload": io.BytesIO(b'{"delivered": 1}')}
        self.invoked: list[bytes] = []
        self.kept: str | None = None
        self.mappings: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def invoke(self, **asked: Any) -> dict[str, Any]:
        self.invoked.append(asked["Payload"])
        return self.answer

    def list_function_event_invoke_configs(self, **_: Any) -> dict[str, Any]:
        destination = {"OnFailure": {"Destination": self.kept}} if self.kept else {}
        return {"FunctionEventInvokeConfigs": [{"DestinationConfig": destination}]}

    def list_event_source_mappings(self, **_: Any) -> dict[str, Any]:
        return {"EventSourceMappings": self.mappings}

    def list_aliases(self, **_: Any) -> dict[str, Any]:
        return {"Aliases": []}


class Cloudformation:
    """A stack with one function, a bucket, and these parameters."""

    def __init__(self, function: str, **parameters: str) -> None:
        self._function = function
        self._parameters = parameters

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        found = {
            "ShipperFunction": ("AWS::Lambda::Function", self._function),
            "Bucket": ("AWS::S3::Bucket", "the-stacks-bucket"),
        }
        yield {
            "StackResourceSummaries": [
                {"LogicalResourceId": name, "ResourceType": kind, "PhysicalResourceId": physical}
                for name, (kind, physical) in found.items()
            ]
        }

    def describe_stacks(self, **_: Any) -> Any:
        given = [{"ParameterKey": k, "ParameterValue": v} for k, v in self._parameters.items()]
        return {
            "Stacks": [{"StackId": "arn:aws:cloudformation:r:1:stack/s/1", "Parameters": given}]
        }


class Stack(Struct):
    """A deployed stack and its clients."""

    bucket: str
    function: DeployedFunction
    configured: Settings
    clients: DoctorClients

    def check(self, **changed: Any) -> dict[str, Finding]:
        configured = replace(self.configured, **changed)
        found = check_stack([self.function], configured, self.clients, stack=None, now=NOW)
        return {finding.check: finding for finding in found}

    def put(self, key: str, body: bytes) -> None:
        self.clients.s3.put_object(Bucket=self.bucket, Key=key, Body=body)


@pytest.fixture
def stack(aws: LocalAws) -> Stack:
    """A shipper without links and without a tag index."""
    name = f"doctor-{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    environ = {"LOKI_URL": "https://loki.example", "LOKI_SECRET": SECRET, "BUCKET": name}
    arn = aws.create_function(name, lambda _: None)
    real = aws.client("lambda")
    real.update_function_configuration(
        FunctionName=name,
        Handler="loki_shipper.shipper.handler.handle",
        Environment={"Variables": environ},
    )
    real.add_permission(
        FunctionName=name,
        StatementId="logs",
        Action="lambda:InvokeFunction",
        Principal="logs.amazonaws.com",
    )
    functions = Functions(real)
    functions.kept = f"arn:aws:s3:::{name}"
    clients = DoctorClients(
        aws.client("cloudformation"),
        functions,
        Iam(),
        *(aws.client(service) for service in ("logs", "s3", "sqs", "events", "kms")),
    )
    return Stack(name, function_named(arn, functions), settings(environ), clients)


def faults(found: dict[str, Finding]) -> list[str]:
    return [check for check, finding in found.items() if finding.level is Level.WRONG]


def test_a_stack_without_links_yet_is_not_wrong(stack: Stack) -> None:
    found = stack.check()
    assert faults(found) == []
    assert [*found] == [
        *("shipper", "iam", "ship", "bucket", "kept", "waiting"),
        *("permission", "filters", "index"),
    ]
    assert {check for check, each in found.items() if each.level is Level.WARN} == {
        "filters",
        "index",
    }


def test_a_missing_bucket_is_named(stack: Stack) -> None:
    stack.clients.s3.delete_bucket(Bucket=stack.bucket)
    found = stack.check()
    assert found["bucket"].level is Level.WRONG
    assert f"{stack.bucket} does not exist" in found["bucket"].says
    assert faults(found) == ["bucket"]


def test_the_settings_and_the_role_are_the_functions_own(stack: Stack) -> None:
    assert stack.function.environ["LOKI_URL"] == "https://loki.example"
    stack.check()
    assert {role for role, *_ in stack.clients.iam.asked} == {stack.function.role}


def test_a_missing_right_is_named(stack: Stack) -> None:
    stack.clients.iam.denied = ("s3:PutObject", "secretsmanager")
    found = stack.check()
    assert faults(found) == ["iam"]
    assert f"s3:PutObject on arn:aws:s3:::{stack.bucket}/failed/doctor" in found["iam"].says
    assert f"secretsmanager:GetSecretValue on {SECRET}" in found["iam"].says
    assert "s3:ListBucket" not in found["iam"].says


def test_a_denied_simulation_is_a_warning(stack: Stack) -> None:
    def denied(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "SimulatePrincipalPolicy")

    stack.clients.iam.simulate_principal_policy = denied
    found = stack.check()
    assert found["iam"].level is Level.WARN
    assert "AccessDenied" in found["iam"].says


def test_the_rights_are_those_of_the_functions_own_settings(stack: Stack) -> None:
    stack.clients.functions.update_function_configuration(
        FunctionName=stack.bucket,
        Environment={"Variables": stack.function.environ | {"TAG_LABELS": "none"}},
    )
    with_tags = {right.action for right in rights(stack.function, None)}
    function = function_named(stack.function.arn, stack.clients.functions)
    without = {right.action for right in rights(function, None)}
    assert with_tags - without == {
        "logs:ListTagsForResource",
        "logs:ListTagsLogGroup",
        "s3:GetObject",
    }


def test_the_rights_are_those_of_the_stacks_own_parameters(stack: Stack) -> None:
    """A function's environment does not name the key."""
    key = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd"
    clients = stack.clients._replace(cloudformation=Cloudformation(stack.bucket, KmsKeyArn=key))
    known = read_deployed_stack("loki-shipper", clients)
    found = {(right.action, right.resource) for right in rights(stack.function, known)}
    assert ("kms:GenerateDataKey", key) in found
    assert ("s3:PutObject", "arn:aws:s3:::the-stacks-bucket/failed/doctor") in found


def test_without_tags_the_index_is_not_checked(stack: Stack) -> None:
    assert "index" not in stack.check(tag_labels=())


def test_the_function_ships_a_line_of_its_own(stack: Stack) -> None:
    assert stack.check()["ship"].level is Level.OK
    [payload] = stack.clients.functions.invoked
    [data] = records(json.loads(payload))
    assert (data.log_group, len(data.log_events)) == (LOG_GROUP, 1)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"Payload": b'{"delivered": 0, "rejected": {"labels": 1}}'}, "labels"),
        ({"Payload": b'{"delivered": 0, "deferred": {"tenant_invalid": 1}}'}, "tenant_invalid"),
        (
            {"Payload": b'{"errorMessage": "not delivered: denied"}', "FunctionError": "Unhandled"},
            "not delivered: denied",
        ),
        ({"Payload": b""}, "no report"),
    ],
    ids=["rejected", "deferred", "failed", "nothing"],
)
def test_a_function_that_does_not_deliver_says_why(
    stack: Stack, answer: dict[str, Any], says: str
) -> None:
    stack.clients.functions.answer = answer | {"Payload": io.BytesIO(answer["Payload"])}
    found = stack.check()
    assert found["ship"].level is Level.WRONG
    assert says in found["ship"].says


def test_a_function_with_tenants_from_tags_gets_no_test_line(stack: Stack) -> None:
    """No tag gives the doctor's line a tenant, so it would wait in the bucket for ever."""
    found = stack.check(tenant_tag="team", loki_tenant="all")
    assert found["ship"].level is Level.WARN
    assert "TENANT_TAG" in found["ship"].says
    assert isinstance(stack.clients.functions, Functions)
    assert stack.clients.functions.invoked == []


def test_a_failure_destination_other_than_the_bucket_is_a_fault(stack: Stack) -> None:
    stack.clients.functions.kept = "arn:aws:sqs:eu-central-1:123456789012:other"
    assert faults(stack.check()) == ["kept"]


def test_a_missing_permission_of_cloudwatch_logs_is_named(stack: Stack) -> None:
    stack.clients.functions.remove_permission(FunctionName=stack.bucket, StatementId="logs")
    assert faults(stack.check()) == ["permission"]


def test_objects_that_have_waited_long_are_a_warning(stack: Stack) -> None:
    stack.put("failed/2026/01/01/a.json", b"{}")
    assert stack.check()["waiting"].level is Level.OK
    later = NOW + timedelta(hours=3)
    found = check_stack([stack.function], stack.configured, stack.clients, stack=None, now=later)
    [waiting] = [finding for finding in found if finding.check == "waiting"]
    assert waiting.level is Level.WARN
    assert waiting.advice == f"loki-shipper redrive --function {stack.function.arn}"


@pytest.mark.parametrize(
    ("hours", "level"), [(1, "ok"), (4, "warn"), (30, "wrong")], ids=["fresh", "old", "stale"]
)
def test_an_old_tag_index_is_a_warning(stack: Stack, hours: int, level: str) -> None:
    where = stack.function.origin
    swept = int((NOW - timedelta(hours=hours)).timestamp() * 1000)
    index = TagIndex({"/a": Tagged(swept, {"team": "x"})}, swept)
    stack.put(index_key(where.account, where.region), encode_index(index))
    assert stack.check()["index"].level == level


def test_linked_log_groups_are_counted_and_one_is_checked(stack: Stack, aws: LocalAws) -> None:
    group = f"/aws/lambda/{stack.bucket}"
    aws.create_log_group(group, {})
    ours = Filters(Filter("", stack.function.arn, 0))
    memory = Memory(groups={group: GroupState(0, ours), "/other": GroupState(0, Filters())})
    stack.put(memory_key(stack.function.origin), encode_memory(memory))
    assert "is gone" in stack.check()["filters"].says
    aws.subscribe(group, stack.function.arn)
    found = stack.check()["filters"]
    assert (found.level, found.says[:12]) == (Level.OK, "1 log groups")


STREAM = "arn:aws:kinesis:eu-central-1:123456789012:stream/logs"


def of_kinesis(stack: Stack, **mapping: Any) -> dict[str, Finding]:
    """Check a stack with a second function, which reads a Kinesis stream by this mapping."""
    variables = stack.function.environ | {"KINESIS_STREAM_ARN": STREAM}
    stack.clients.functions.update_function_configuration(
        FunctionName=stack.bucket, Environment={"Variables": variables}
    )
    reader = function_named(stack.function.arn, stack.clients.functions)
    assert reader.kind == "kinesis"
    destination = {"OnFailure": {"Destination": f"arn:aws:s3:::{stack.bucket}"}}
    found = {"EventSourceArn": STREAM, "State": "Enabled", "DestinationConfig": destination}
    stack.clients.functions.mappings = [found | mapping] if mapping.get("State") != "" else []
    functions = [stack.function, reader]
    checked = check_stack(functions, stack.configured, stack.clients, stack=None, now=NOW)
    return {finding.check: finding for finding in checked}


def test_a_stream_that_lambda_reads_is_named(stack: Stack) -> None:
    found = of_kinesis(stack)
    assert faults(found) == []
    assert found["stream"].says == f"Lambda reads {STREAM}"
    assert ("kinesis:GetRecords", STREAM) in {each[1:] for each in stack.clients.iam.asked}


@pytest.mark.parametrize(
    ("mapping", "level", "said"),
    [
        ({"State": ""}, Level.WRONG, "no event source mapping reads the stream"),
        ({"State": "Disabled"}, Level.WRONG, "the mapping is Disabled"),
        ({"DestinationConfig": {}}, Level.WRONG, "are lost"),
        ({"LastProcessingResult": "PROBLEM: denied"}, Level.WARN, "PROBLEM: denied"),
    ],
)
def test_a_stream_that_is_not_read_or_loses_records_is_named(
    stack: Stack, mapping: dict[str, Any], level: Level, said: str
) -> None:
    found = of_kinesis(stack, **mapping)["stream"]
    assert found.level is level
    assert said in found.says
