"""What the stack promises, read from the template itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


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
    ]
    assert permissions == [
        {
            "FunctionName": {"Fn::GetAtt": ["ShipperFunction", "Arn"]},
            "Action": "lambda:InvokeFunction",
            "Principal": "logs.amazonaws.com",
            "SourceAccount": {"Ref": "AWS::AccountId"},
            "SourceArn": {
                "Fn::Sub": "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*"
            },
        }
    ]


def test_what_fails_to_the_end_goes_to_the_bucket(template: dict[str, Any]) -> None:
    assert properties(template, "ShipperFunction")["EventInvokeConfig"] == {
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 21600,
        "DestinationConfig": {
            "OnFailure": {
                "Type": "S3Bucket",
                "Destination": {"Fn::GetAtt": ["Bucket", "Arn"]},
            }
        },
    }


def test_the_architecture_reaches_function_layer_and_build(template: dict[str, Any]) -> None:
    architecture = {"Ref": "Architecture"}
    assert properties(template, "ShipperFunction")["Architectures"] == [architecture]
    assert properties(template, "DependenciesLayer")["CompatibleArchitectures"] == [architecture]
    build = template["Resources"]["DependenciesLayer"]["Metadata"]
    assert build["BuildArchitecture"] == architecture
    assert build["WorkingDirectory"] == {"Fn::Sub": "layers/dependencies/${Architecture}"}
    for name in template["Parameters"]["Architecture"]["AllowedValues"]:
        assert (TEMPLATE.parent / "layers/dependencies" / name / "platforms.txt").is_file()


def test_the_bucket_is_private_and_encrypted_and_outlives_the_stack(
    template: dict[str, Any],
) -> None:
    bucket = template["Resources"]["Bucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["UpdateReplacePolicy"] == "Retain"
    assert set(bucket["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in bucket["Properties"]


def test_the_bucket_answers_only_over_tls(template: dict[str, Any]) -> None:
    (statement,) = properties(template, "BucketPolicy")["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["Bucket", "Arn"]},
        {"Fn::Sub": "${Bucket.Arn}/*"},
    ]


def test_whatever_the_function_may_put_into_the_bucket_expires(template: dict[str, Any]) -> None:
    rules = properties(template, "Bucket")["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    assert all(rule["ExpirationInDays"] == {"Ref": "BucketRetentionDays"} for rule in rules)
    (policy,) = properties(template, "ShipperRole")["Policies"]
    (writable,) = [
        statement["Resource"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement.get("Action") == "s3:PutObject"
    ]
    assert {f"${{Bucket.Arn}}/{rule['Prefix']}*" for rule in rules} == {
        resource["Fn::Sub"] for resource in writable
    }


def test_the_function_writes_to_a_log_group_that_does_not_keep_forever(
    template: dict[str, Any],
) -> None:
    logging = properties(template, "ShipperFunction")["LoggingConfig"]
    assert logging == {"LogGroup": {"Ref": "ShipperLogGroup"}}
    retention = properties(template, "ShipperLogGroup")["RetentionInDays"]
    assert retention == {"Ref": "LogRetentionDays"}


def test_the_command_in_the_outputs_subscribes_to_the_function(template: dict[str, Any]) -> None:
    command = template["Outputs"]["SubscribeCommand"]["Value"]["Fn::Sub"]
    assert command == (
        "aws logs put-subscription-filter --region ${AWS::Region} --log-group-name LOG_GROUP "
        '--filter-name loki-shipper --filter-pattern "" --destination-arn ${ShipperFunction.Arn}'
    )
