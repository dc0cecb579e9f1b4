"""The checks of log files: queue, dead letters, and each bucket with its key."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.doctor.deployed_stack import DoctorClients
from loki_shipper.doctor.finding import Finding, Level
from loki_shipper.doctor.log_files import check_log_files
from loki_shipper.local.aws import ACCOUNT, LocalAws, run_aws
from tests.doctor.test_stack import Functions, Iam
from tests.moto_gaps import event_bridge_of_buckets

REGION = "eu-north-1"
QUEUE, DEAD = (f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}" for name in ("log-files", "dead"))


class LogFilesStack(Struct):
    """A stack with a queue for log files, and its clients."""

    aws: LocalAws
    clients: DoctorClients
    environ: dict[str, str]

    def check(self, buckets: str = "my-logs/web/") -> list[Finding]:
        environ = {**self.environ, "LOG_BUCKETS": buckets}
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:subscriber"
        function = DeployedFunction(
            "subscriber", arn, "role", "group", environ, in_vpc=False, trouble=""
        )
        return [*check_log_files(function, self.clients)]

    def bucket(self, **config: Any) -> None:
        self.clients.s3.put_bucket_notification_configuration(
            Bucket="my-logs", NotificationConfiguration=config
        )


OURS = {
    "Id": "loki-shipper-log-files-1",
    "QueueArn": QUEUE,
    "Events": ["s3:ObjectCreated:*"],
    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "web/"}]}},
}


@pytest.fixture
def stack() -> Iterator[LogFilesStack]:
    with event_bridge_of_buckets(), run_aws(REGION) as aws:
        queues = aws.client("sqs")
        queues.create_queue(QueueName="dead")
        policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 5})}
        queues.create_queue(QueueName="log-files", Attributes=policy)
        aws.client("s3").create_bucket(
            Bucket="my-logs", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        functions = Functions(aws.client("lambda"))
        reader = aws.create_function("reader", lambda _: None)
        functions.mappings = [{"FunctionArn": reader, "State": "Enabled"}]
        names = ("logs", "s3", "sqs", "events", "kms")
        clients = DoctorClients(None, functions, Iam(), *map(aws.client, names))
        shipper = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:shipper"
        yield LogFilesStack(aws, clients, {"SHIPPER_ARN": shipper, "LOG_FILES_QUEUE": QUEUE})


def of(check: str, found: list[Finding]) -> Finding:
    [finding] = [each for each in found if each.check == check]
    return finding


def test_a_stack_that_reads_no_log_files_has_no_such_check(stack: LogFilesStack) -> None:
    stack.environ["LOG_FILES_QUEUE"] = ""
    assert stack.check("") == []


def test_all_is_well(stack: LogFilesStack) -> None:
    stack.bucket(QueueConfigurations=[OURS])
    # S3 has sent its test message.
    assert [(each.check, each.level, each.says) for each in stack.check()] == [
        ("queue", Level.OK, "Lambda reads the queue of log files; messages that wait: 1"),
        ("dead", Level.OK, "no message about log files has failed for good"),
        ("sends", Level.OK, "my-logs sends its notifications to the queue"),
        ("reads", Level.OK, "the function may read my-logs"),
        ("key", Level.OK, "my-logs is encrypted with no key of yours"),
    ]


@pytest.mark.parametrize(
    ("mappings", "said"),
    [([], "no function reads"), ([{"FunctionArn": "x", "State": "Disabled"}], "is Disabled")],
)
def test_a_queue_that_nobody_reads_is_a_fault(
    stack: LogFilesStack, mappings: list[dict[str, Any]], said: str
) -> None:
    stack.clients.functions.mappings = mappings
    found = stack.check()
    assert (of("queue", found).level, said in of("queue", found).says) == (Level.WRONG, True)
    assert "reads" not in {each.check for each in found}


def test_dead_letters_are_a_warning_with_the_command_that_sends_them_again(
    stack: LogFilesStack,
) -> None:
    queues = stack.clients.queues
    queues.send_message(
        QueueUrl=queues.get_queue_url(QueueName="dead")["QueueUrl"], MessageBody="x"
    )
    found = of("dead", stack.check())
    assert (found.level, found.says) == (
        Level.WARN,
        "messages about log files that failed for good: 1",
    )
    assert found.advice.endswith("send them again: loki-shipper redrive --log-files")


def test_a_queue_without_dead_letters_is_a_fault(stack: LogFilesStack) -> None:
    queues = stack.clients.queues
    url = queues.get_queue_url(QueueName="log-files")["QueueUrl"]
    queues.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert of("dead", stack.check()).level is Level.WRONG


def test_a_bucket_that_does_not_send_is_a_fault(stack: LogFilesStack) -> None:
    found = of("sends", stack.check())
    assert (found.level, found.says) == (Level.WRONG, "my-logs does not send as LogBuckets says")
    assert found.advice.endswith("loki-shipper link --all")


def test_a_bucket_out_of_reach_is_a_warning_with_the_reason(stack: LogFilesStack) -> None:
    found = of("sends", stack.check("no-such-bucket"))
    assert found.level is Level.WARN
    assert found.says == "no-such-bucket is not set up by the stack: there is no such bucket"


def test_a_bucket_through_event_bridge_needs_the_rule(stack: LogFilesStack) -> None:
    stack.bucket(EventBridgeConfiguration={})
    stack.environ["LOG_FILES_RULE"] = "rule"
    rules = stack.clients.event_rules
    pattern = json.dumps({"detail": {"bucket": {"name": ["my-logs"]}}})
    for other in (
        {"EventPattern": '{"source": ["aws.s3"]}', "State": "ENABLED"},
        {"EventPattern": pattern, "State": "DISABLED"},
    ):
        rules.put_rule(Name="rule", **other)
        assert of("sends", stack.check()).level is Level.WRONG
    rules.put_rule(Name="rule", EventPattern=pattern, State="ENABLED")
    found = of("sends", stack.check())
    assert found.says == "my-logs sends to EventBridge, and a rule to the queue"


def test_a_role_that_may_not_read_a_bucket_is_a_fault(stack: LogFilesStack) -> None:
    stack.clients.iam.denied = ("s3:GetObject",)
    found = of("reads", stack.check())
    assert (found.level, found.says) == (
        Level.WRONG,
        "the function may not read arn:aws:s3:::my-logs/web/doctor",
    )


@pytest.mark.parametrize(
    ("principal", "level"),
    [
        (f"arn:aws:iam::{ACCOUNT}:root", Level.OK),
        (f"arn:aws:iam::{ACCOUNT}:role/reader", Level.OK),
        (f"arn:aws:iam::{ACCOUNT}:user/x", Level.WRONG),
    ],
)
def test_the_policy_of_the_key_of_a_bucket_must_let_the_function_use_it(
    stack: LogFilesStack, principal: str, level: Level
) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"}
        ],
    }
    key = stack.clients.keys.create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    stack.clients.s3.put_bucket_encryption(
        Bucket="my-logs",
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default}]
        },
    )
    found = of("key", stack.check())
    assert found.level is level
    assert "my-logs" in found.says


def test_settings_that_cannot_be_read_are_a_fault(stack: LogFilesStack) -> None:
    assert of("queue", stack.check("My_Logs")).level is Level.WRONG
