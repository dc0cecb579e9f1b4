"""The template makes the stack that the documents describe."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import convert

from loki_shipper.redriver.bucket import Share
from tests.template.conftest import holds

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
LAYERS = ("DependenciesLayerArm64", "DependenciesLayerX8664")


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    resource: dict[str, Any] = template["Resources"][name]["Properties"]
    return resource


def test_cfn_lint_finds_nothing() -> None:
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    lint = subprocess.run([cfn_lint, TEMPLATE], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_every_parameter_is_described_and_has_one_labelled_place_in_the_form(
    template: dict[str, Any],
) -> None:
    form = template["Metadata"]["AWS::CloudFormation::Interface"]
    placed = [name for group in form["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(placed) == sorted(template["Parameters"])
    assert sorted(form["ParameterLabels"]) == sorted(template["Parameters"])
    assert all(parameter["Description"] for parameter in template["Parameters"].values())


def test_one_permission_lets_every_log_group_of_this_account_and_no_other_invoke(
    template: dict[str, Any],
) -> None:
    permissions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Permission"
        and "SourceAccount" in resource["Properties"]
    ]
    assert permissions == [
        {
            "FunctionName": {"Ref": "ShipperAlias"},
            "Action": "lambda:InvokeFunction",
            "Principal": {"Fn::If": ["IsChina", "logs.amazonaws.com.cn", "logs.amazonaws.com"]},
            "SourceAccount": {"Ref": "AWS::AccountId"},
            "SourceArn": {
                "Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*"
            },
        }
    ]


def test_events_that_fail_for_good_go_to_the_bucket(template: dict[str, Any]) -> None:
    assert properties(template, "ShipperInvocation") == {
        "FunctionName": {"Ref": "ShipperFunction"},
        "Qualifier": properties(template, "ShipperAlias")["Name"],
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 21600,
        "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["Bucket", "Arn"]}}},
    }


def test_settings_take_effect_with_the_deployment(template: dict[str, Any]) -> None:
    """SAM publishes no version for another value of a parameter: docs/decisions/alias.md."""
    assert properties(template, "ShipperAlias")["FunctionVersion"] == "$LATEST"
    functions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    assert not any("AutoPublishAlias" in function for function in functions)


def test_no_log_event_comes_before_the_destination_of_failures_is_set(
    template: dict[str, Any],
) -> None:
    assert template["Resources"]["ShipperPermission"]["DependsOn"] == "ShipperInvocation"
    assert template["Resources"]["ShipperInvocation"]["DependsOn"] == "ShipperAlias"


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("arm64", "DependenciesLayerArm64"), ("x86_64", "DependenciesLayerX8664")],
)
def test_a_function_gets_the_layer_of_its_processor_however_it_was_built(
    template: dict[str, Any], architecture: str, name: str
) -> None:
    layer = template["Resources"][name]
    parameters = {"Architecture": architecture}
    conditions = {key: template["Resources"][key]["Condition"] for key in LAYERS}
    made = {key for key in LAYERS if holds(template, conditions[key], parameters)}
    assert made == {name}
    assert layer["Properties"]["CompatibleArchitectures"] == [architecture]
    # What is built does not depend on what a person says to `sam build`.
    assert layer["Metadata"]["BuildArchitecture"] == architecture
    folder = f"layers/dependencies/{architecture}"
    assert layer["Metadata"]["WorkingDirectory"] == folder
    assert (TEMPLATE.parent / folder / "platforms.txt").is_file()
    functions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    for function in functions:
        assert function["Architectures"] == [{"Ref": "Architecture"}]
        [layers] = function["Layers"]
        condition, yes, no = layers["Fn::If"]
        assert (yes if holds(template, condition, parameters) else no) == {"Ref": name}


def test_there_is_a_layer_for_every_processor(template: dict[str, Any]) -> None:
    allowed = template["Parameters"]["Architecture"]["AllowedValues"]
    compatible = [properties(template, name)["CompatibleArchitectures"] for name in LAYERS]
    assert compatible == [[architecture] for architecture in allowed]


def test_the_bucket_is_private_and_encrypted_and_outlives_the_stack(
    template: dict[str, Any],
) -> None:
    bucket = template["Resources"]["Bucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in bucket["Properties"]


def test_the_bucket_answers_only_over_tls(template: dict[str, Any]) -> None:
    [statement] = [
        each
        for each in properties(template, "BucketPolicy")["PolicyDocument"]["Statement"]
        if each.get("Sid") == "OnlyTls"
    ]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["Bucket", "Arn"]},
        {"Fn::Sub": "${Bucket.Arn}/*"},
    ]


def test_every_object_that_a_function_puts_into_the_bucket_expires(
    template: dict[str, Any],
) -> None:
    rules = properties(template, "Bucket")["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert all(rule["ExpirationInDays"] == {"Ref": "BucketRetentionDays"} for rule in rules)
    [shared] = [
        each
        for each in properties(template, "DeliveryPolicy")["PolicyDocument"]["Statement"]
        if each.get("Sid") == "KeepWhatWasNotDelivered"
    ]
    # Lambda's grant is on the whole bucket; this is where it writes.
    writable = [
        *(each["Fn::Sub"] for each in shared["Resource"]),
        "${Bucket.Arn}/aws/lambda/*",
        "${Bucket.Arn}/progress/*",
        # Members of a hub write here.
        "${Bucket.Arn}/first-lines/*",
    ]
    assert sorted(f"${{Bucket.Arn}}/{rule['Prefix']}*" for rule in rules) == sorted(writable)


@pytest.mark.parametrize("name", ["Shipper", "Redriver", "Kinesis", "LogFiles"])
def test_the_log_group_of_a_function_has_a_retention(template: dict[str, Any], name: str) -> None:
    logging = properties(template, f"{name}Function")["LoggingConfig"]
    assert logging == {"LogGroup": {"Ref": f"{name}LogGroup"}}
    retention = properties(template, f"{name}LogGroup")["RetentionInDays"]
    assert retention == {"Ref": "LogRetentionDays"}


def test_the_redriver_delivers_as_the_shipper_does(template: dict[str, Any]) -> None:
    shipper, redriver = (
        properties(template, f"{name}Function") for name in ("Shipper", "Redriver")
    )
    for shared in ("Environment", "Layers", "Architectures", "Runtime", "CodeUri", "MemorySize"):
        assert redriver[shared] == shipper[shared]


def test_the_function_for_kinesis_is_the_shipper_with_memory_and_timeout_of_its_own(
    template: dict[str, Any],
) -> None:
    shipper, kinesis = (properties(template, f"{name}Function") for name in ("Shipper", "Kinesis"))
    for shared in ("Handler", "Layers", "Architectures", "Runtime", "CodeUri", "VpcConfig", "Tags"):
        assert kinesis[shared] == shipper[shared]
    assert kinesis["MemorySize"] == {"Ref": "KinesisMemorySize"}
    assert kinesis["Timeout"] == {"Ref": "KinesisTimeout"}


def test_without_a_stream_there_is_nothing_of_kinesis(template: dict[str, Any]) -> None:
    conditions = {
        name: resource.get("Condition", "")
        for name, resource in template["Resources"].items()
        if name.startswith("Kinesis")
    }
    assert len(conditions) == 6
    for given in ("", "arn:aws:kinesis:eu-central-1:123456789012:stream/logs"):
        parameters = {"KinesisStreamArn": given, "AlarmTopicArn": "a topic"}
        assert {holds(template, each, parameters) for each in conditions.values()} == {bool(given)}


def test_the_function_for_log_files_is_the_shipper_with_memory_and_concurrency_of_its_own(
    template: dict[str, Any],
) -> None:
    shipper, own = (properties(template, f"{name}Function") for name in ("Shipper", "LogFiles"))
    for shared in ("Handler", "Layers", "Architectures", "Runtime", "CodeUri", "VpcConfig", "Tags"):
        assert own[shared] == shipper[shared]
    assert own["MemorySize"] == {"Ref": "LogFilesMemorySize"}
    assert own["Timeout"] == 900
    assert own["RecursiveLoop"] == "Allow"
    mapping = properties(template, "LogFilesMapping")
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "LogFilesConcurrency"}}
    assert template["Parameters"]["LogFilesConcurrency"]["MinValue"] == 2
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["FunctionName"] == {"Ref": "LogFilesFunction"}


def test_without_log_buckets_there_is_nothing_for_log_files(template: dict[str, Any]) -> None:
    conditions = {
        name: resource.get("Condition", "")
        for name, resource in template["Resources"].items()
        if name.startswith("LogFiles")
    }
    assert len(conditions) == 11
    for given in ("", "my-logs/AWSLogs/=alb"):
        parameters = {"LogBuckets": given, "AlarmTopicArn": "a topic"}
        assert {holds(template, each, parameters) for each in conditions.values()} == {bool(given)}


def test_only_crashes_make_a_message_about_a_log_file_a_dead_letter(
    template: dict[str, Any],
) -> None:
    queue = properties(template, "LogFilesQueue")
    assert queue["VisibilityTimeout"] > properties(template, "LogFilesFunction")["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["LogFilesDeadLetters", "Arn"]},
        "maxReceiveCount": 10,
    }
    two_weeks = 14 * 24 * 3600
    for name in ("LogFilesQueue", "LogFilesDeadLetters"):
        assert properties(template, name)["MessageRetentionPeriod"] == two_weeks


def test_no_record_blocks_a_shard_forever_and_none_is_thrown_away(
    template: dict[str, Any],
) -> None:
    mapping = properties(template, "KinesisMapping")
    late_after = template["Parameters"]["LateStreamMinutes"]["Default"] * 60 * 1.5
    assert mapping["EventSourceArn"] == {"Ref": "KinesisStreamArn"}
    assert mapping["FunctionName"] == {"Ref": "KinesisFunction"}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert 60 <= mapping["MaximumRecordAgeInSeconds"] < late_after
    assert mapping["MaximumRetryAttempts"] > 0
    assert mapping["DestinationConfig"]["OnFailure"] == {
        "Destination": {"Fn::GetAtt": ["Bucket", "Arn"]}
    }
    # With LATEST, Lambda may miss records while it makes the mapping.
    assert mapping["StartingPosition"] == "TRIM_HORIZON"


def test_the_redriver_runs_every_few_minutes_and_ends_before_the_next_run(
    template: dict[str, Any],
) -> None:
    redriver = properties(template, "RedriverFunction")
    assert template["Parameters"]["RedriveSchedule"]["Default"] == "rate(5 minutes)"
    assert redriver["Timeout"] < 5 * 60
    assert redriver["EventInvokeConfig"]["MaximumRetryAttempts"] == 0


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 5])
def test_the_schedule_starts_each_worker_with_its_share(
    template: dict[str, Any], workers: int
) -> None:
    assert template["Parameters"]["RedriveWorkers"]["AllowedValues"] == [1, 2, 3, 4, 5]
    shares = []
    for target in properties(template, "RedriveRule")["Targets"]:
        condition, then, _ = target.get("Fn::If", [None, target, None])
        if condition is None or holds(template, condition, {"RedriveWorkers": workers}):
            text = then["Input"]["Fn::Sub"].replace("${RedriveWorkers}", str(workers))
            shares.append(convert(json.loads(text), Share))
    assert shares == [Share(worker, workers) for worker in range(workers)]


@pytest.mark.parametrize(
    ("schedule", "taken"),
    [
        ("rate(1 minute)", True),
        ("cron(0 3 * * ? *)", True),
        ("off", True),
        ("", False),
        ("5 minutes", False),
    ],
)
def test_a_schedule_has_the_syntax_of_eventbridge_or_is_off(
    template: dict[str, Any], schedule: str, taken: bool
) -> None:
    pattern = template["Parameters"]["RedriveSchedule"]["AllowedPattern"]
    assert (re.fullmatch(pattern, schedule) is not None) == taken


def test_the_outputs_name_the_alias_as_the_destination(template: dict[str, Any]) -> None:
    assert template["Outputs"]["ShipperFunctionArn"]["Value"] == {"Ref": "ShipperAlias"}


def test_the_functions_reach_loki_from_the_subnets_that_are_named(
    template: dict[str, Any],
) -> None:
    for name in ("ShipperFunction", "RedriverFunction", "KinesisFunction", "LogFilesFunction"):
        assert properties(template, name)["VpcConfig"] == {
            "Fn::If": [
                "IsInVpc",
                {
                    "SubnetIds": {"Ref": "SubnetIds"},
                    "SecurityGroupIds": {"Ref": "SecurityGroupIds"},
                },
                {"Ref": "AWS::NoValue"},
            ]
        }


def test_every_role_has_the_permissions_boundary(template: dict[str, Any]) -> None:
    roles = [r for r in template["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    boundary = ["HasBoundary", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]
    assert roles
    assert all(role["Properties"]["PermissionsBoundary"] == {"Fn::If": boundary} for role in roles)
    functions = [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    # SAM would make a role of its own, which knew nothing of the boundary.
    assert all("Role" in function for function in functions)


def test_concurrency_has_no_limit_by_default(template: dict[str, Any]) -> None:
    assert template["Parameters"]["ReservedConcurrency"]["Default"] == ""
    assert properties(template, "ShipperFunction")["ReservedConcurrentExecutions"] == {
        "Fn::If": [
            "HasReservedConcurrency",
            {"Ref": "ReservedConcurrency"},
            {"Ref": "AWS::NoValue"},
        ]
    }


def test_sam_can_build_every_function_and_layer(template: dict[str, Any]) -> None:
    made = {
        name
        for name, resource in template["Resources"].items()
        if resource.get("Metadata", {}).get("BuildMethod") == "makefile"
    }
    makefile = (TEMPLATE.parent / "Makefile").read_text("utf-8")
    assert made == set(re.findall(r"build-(\w+)(?=[ :].*\n\t)", makefile))
