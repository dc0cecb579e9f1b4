"""The doctor asks for every right that the template grants, as it is in the deployment."""

from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.doctor.grants import Right, TemplateValues, granted
from loki_shipper.doctor.rights import rights as rights_of
from loki_shipper.template import read_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(ROOT / "template.yaml")
HERE = "eu-central-1:123456789012"
SECRET = f"arn:aws:secretsmanager:{HERE}:secret:loki-a1b2c3"
KEY = f"arn:aws:kms:{HERE}:key/1234abcd"
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": f"arn:aws:cloudformation:{HERE}:stack/loki-shipper/1",
    "AWS::StackName": "loki-shipper",
}
PHYSICAL = {
    "AWS::S3::Bucket": "b",
    "AWS::Lambda::Alias": f"arn:aws:lambda:{HERE}:function:shipper:live",
    "AWS::SQS::Queue": "https://sqs.eu-central-1.amazonaws.com/123456789012/q",
    "AWS::Logs::LogGroup": "/aws/lambda/own",
}
RESOURCES = {
    name: PHYSICAL.get(each["Type"], f"physical-{name}")
    for name, each in TEMPLATE["Resources"].items()
}
EVERYTHING = {
    "LokiSecret": SECRET,
    "LokiReadSecret": f"{SECRET}-for-queries",
    "LokiCaCert": "/loki/ca",
    "LokiClientCert": "loki-cert",
    "LokiClientKey": f"arn:aws:ssm:{HERE}:parameter/loki/key",
    "KmsKeyArn": KEY,
    "FormerKmsKeyArns": f"{KEY}5,{KEY}6",
    "Rules": "s3://ours/rules.toml",
    "SubnetIds": "subnet-1,subnet-2",
    "SecurityGroupIds": "sg-1",
    "LinkMode": "account",
    "KinesisStreamArn": f"arn:aws:kinesis:{HERE}:stream/logs",
    "LogBuckets": "my-logs/AWSLogs/=alb,my-other-logs",
}
ROLES = [
    "ShipperRole",
    "RedriverRole",
    "SubscriberRole",
    "KinesisRole",
    "LogFilesRole",
    "CanaryRole",
]


def rights(role: str, **parameters: str) -> list[Right]:
    return list(granted(TEMPLATE, role, TemplateValues(parameters, RESOURCES, PSEUDO)))


def asked(role: str, **parameters: str) -> set[tuple[str, str]]:
    return {(each.action, each.resource) for each in rights(role, **parameters)}


def actions(role: str) -> set[str]:
    """Every action that the template allows a role, whatever the parameters are."""
    template, _ = decode(str(ROOT / "template.yaml"))
    found: set[str] = set()

    def walk(value: Any) -> None:
        match value:
            case {"Effect": "Allow", "Action": action, "Sid": _}:
                found.update(texts(action))
            case dict():
                for each in value.values():
                    walk(each)
            case list():
                for each in value:
                    walk(each)

    walk(template["Resources"][role]["Properties"]["Policies"])
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Policy" and role in texts(
            resource["Properties"]["Roles"]
        ):
            walk(resource["Properties"]["PolicyDocument"])
    return found


def texts(value: Any) -> list[str]:
    match value:
        case {"Fn::If": [_, *branches]}:
            return texts(branches)
        case {"Ref": str(name)}:
            return [name]
        case list():
            return [text for each in value for text in texts(each)]
        case _:
            return [str(value)]


@pytest.mark.parametrize("role", ROLES)
def test_no_right_of_the_template_is_forgotten(role: str) -> None:
    found = {each.action for each in rights(role, **EVERYTHING)}
    assert found == actions(role)
    assert all("${" not in each.resource for each in rights(role, **EVERYTHING))


def test_rights_on_log_files_are_checked_for_the_listed_buckets_only() -> None:
    found = {resource for _, resource in asked("LogFilesRole", **EVERYTHING)}
    buckets = {each for each in found if each.startswith("arn:aws:s3:::") and ":::b" not in each}
    assert buckets - {"arn:aws:s3:::ours/rules.toml"} == {
        *("arn:aws:s3:::my-logs", "arn:aws:s3:::my-logs/doctor"),
        *("arn:aws:s3:::my-other-logs", "arn:aws:s3:::my-other-logs/doctor"),
    }


def test_rights_that_were_forgotten_before_are_checked() -> None:
    assert ("s3:GetObject", "arn:aws:s3:::ours/rules.toml") in asked("ShipperRole", **EVERYTHING)
    subscriber = {action for action, _ in asked("SubscriberRole")}
    assert {"logs:FilterLogEvents", "lambda:InvokeFunction"} <= subscriber


def test_a_canary_without_its_stack_has_the_rights_on_its_lines_and_its_secret() -> None:
    canary = DeployedFunction(
        kind="canary",
        arn=f"arn:aws:lambda:{HERE}:function:canary",
        role="arn:aws:iam::123456789012:role/canary",
        log_group="/aws/lambda/canary",
        environ={"CANARY_LOG_GROUP": "/loki-shipper/ours/canary", "LOKI_READ_SECRET": SECRET},
        in_vpc=False,
        trouble="",
    )
    found = {(each.action, each.resource) for each in rights_of(canary, None)}
    lines = f"arn:aws:logs:{HERE}:log-group:/loki-shipper/ours/canary"
    assert {("logs:FilterLogEvents", lines), ("logs:PutLogEvents", lines)} <= found
    assert ("secretsmanager:GetSecretValue", SECRET) in found


def test_a_new_statement_of_the_template_is_checked(tmp_path: Path) -> None:
    text = (ROOT / "template.yaml").read_text("utf-8")
    new = "- { Sid: New, Effect: Allow, Action: s3:GetBucketTagging, Resource: !GetAtt Bucket.Arn }"
    before, place, after = text.partition("              - Sid: TakeWhatWaits\n")
    assert place
    (tmp_path / "template.yaml").write_text(f"{before}              {new}\n{place}{after}", "utf-8")
    template = read_template(tmp_path / "template.yaml")
    found = granted(template, "RedriverRole", TemplateValues({}, RESOURCES, PSEUDO))
    assert Right("s3:GetBucketTagging", "arn:aws:s3:::b") in [*found]


def test_conditions_follow_the_parameters() -> None:
    tags = "logs:ListTagsForResource"
    assert tags in {action for action, _ in asked("ShipperRole")}
    assert tags not in {action for action, _ in asked("ShipperRole", TagLabels="none")}
    assert tags in {action for action, _ in asked("ShipperRole", TagLabels="none", TenantTag="t")}
    assert "logs:PutAccountPolicy" not in {action for action, _ in asked("SubscriberRole")}
    buckets = "s3:PutBucketNotification"
    assert buckets not in {action for action, _ in asked("SubscriberRole")}
    assert buckets in {action for action, _ in asked("SubscriberRole", LogBuckets="my-logs")}


@pytest.mark.parametrize(
    ("reference", "action", "resource"),
    [
        (SECRET, "secretsmanager:GetSecretValue", SECRET),
        ("team/loki", "ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/team/loki"),
        ("/team/loki", "ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/team/loki"),
        ("arn:aws:ssm:x:1:parameter/a", "ssm:GetParameter", "arn:aws:ssm:x:1:parameter/a"),
    ],
)
def test_the_right_on_a_secret_is_checked_with_its_own_arn_only(
    reference: str, action: str, resource: str
) -> None:
    found = asked("ShipperRole", LokiSecret=reference) - asked("ShipperRole")
    assert {each for each in found if each[0] != "kms:Decrypt"} == {(action, resource)}


def test_a_right_with_a_condition_is_checked_with_values_that_meet_it() -> None:
    [decrypt] = [
        each for each in rights("ShipperRole", LokiSecret=SECRET) if each.action == "kms:Decrypt"
    ]
    assert decrypt.resource == f"arn:aws:kms:{HERE}:key/doctor"
    assert ("kms:EncryptionContext:SecretARN", SECRET) in decrypt.context
    assert ("kms:ViaService", "secretsmanager.eu-central-1.amazonaws.com") in decrypt.context


def test_a_right_on_an_unknown_resource_is_not_checked() -> None:
    """Without its stack, a function tells of its own log group, its bucket and its settings."""
    known = TemplateValues({}, {"ShipperLogGroup": "/own"}, PSEUDO)
    found = [*granted(TEMPLATE, "ShipperRole", known)]
    assert {each.action.partition(":")[0] for each in found} == {"logs"}
