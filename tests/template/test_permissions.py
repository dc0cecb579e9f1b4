"""The permissions of the functions, as CloudFormation (here: moto) evaluates the template."""

import ast
import copy
import json
import re
from typing import Any

import boto3
import pytest
from moto import mock_aws

from loki_shipper.doctor.grants import TemplateValues, granted
from loki_shipper.template import read_template
from tests.template.conftest import holds

REGION = "eu-central-1"
HERE = f"{REGION}:123456789012"
SECRET = f"arn:aws:secretsmanager:{HERE}:secret:loki-a1b2c3"
PARAMETER = f"arn:aws:ssm:{HERE}:parameter/team/loki"
KEY = f"arn:aws:kms:{HERE}:key/1234abcd"
STREAM = f"arn:aws:kinesis:{HERE}:stream/logs"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

type Grant = tuple[str, str]

OF_DESTINATION: set[Grant] = {
    (action, resource)
    for action in ("s3:PutObject", "s3:ListBucket")
    for resource in ("arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*")
}
DECRYPT: Grant = ("kms:Decrypt", f"arn:aws:kms:{REGION}:*:key/*")

READ_TAGS: set[Grant] = {
    ("s3:GetObject", "arn:aws:s3:::BUCKET/tags/*"),
    ("logs:ListTagsForResource", f"arn:aws:logs:{HERE}:log-group:*"),
    ("logs:ListTagsLogGroup", f"arn:aws:logs:{HERE}:log-group:*"),
}


def grants(template: dict[str, Any], name: str = "Shipper", **parameters: str) -> set[Grant]:
    """Return each action with each resource that a function's role of such a stack has.

    An action on a resource of another service allows nothing.
    """
    return {
        (action, resource)
        for statement in statements(template, name, **parameters)
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
        if resource == "*" or action.startswith(f"{resource.split(':')[2]}:")
    }


QUEUES = ("LogFilesQueue", "LogFilesDeadLetters")


@mock_aws
def statements(
    template: dict[str, Any], name: str = "Shipper", **parameters: str
) -> list[dict[str, Any]]:
    # moto has no functions and layers of SAM; the role needs none of them.
    resources = {each: template["Resources"][each] for each in ("Bucket", f"{name}LogGroup")}
    if name == "LogFiles":
        resources |= {each: template["Resources"][each] for each in QUEUES}
    stack = {
        "Parameters": template["Parameters"],
        "Conditions": template["Conditions"],
        "Resources": resources | {"Role": _role(template, f"{name}Role")},
    }
    cloudformation = boto3.client("cloudformation", REGION)
    cloudformation.create_stack(
        StackName="loki-shipper",
        TemplateBody=json.dumps(stack),
        Parameters=[
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in {"LokiUrl": "https://loki.example", **parameters}.items()
        ],
    )
    resource = cloudformation.describe_stack_resource
    role, bucket, log_group = (
        resource(StackName="loki-shipper", LogicalResourceId=name)["StackResourceDetail"][
            "PhysicalResourceId"
        ]
        for name in ("Role", "Bucket", f"{name}LogGroup")
    )
    found: list[dict[str, Any]] = []
    for policy in (name.lower(), "deliver"):
        document = boto3.client("iam").get_role_policy(RoleName=role, PolicyName=policy)
        # moto writes the document as Python does, with None for AWS::NoValue.
        text = document["PolicyDocument"].replace(bucket, "BUCKET").replace(log_group, "LOG_GROUP")
        granted = [statement for statement in ast.literal_eval(text)["Statement"] if statement]
        assert granted, "IAM takes no policy without statements"
        found += granted
    return found


def _role(template: dict[str, Any], name: str) -> dict[str, Any]:
    """Give a role with the shared policy as one of its own: moto takes no AWS::NoValue in those."""
    shared = template["Resources"]["DeliveryPolicy"]["Properties"]
    on_condition = [
        {"Fn::If": [condition, {"Ref": name}, {"Ref": "AWS::NoValue"}]}
        for condition in ("ReadsKinesis", "ShipsLogFiles")
    ]
    assert any(each in shared["Roles"] for each in ({"Ref": name}, *on_condition))
    role: dict[str, Any] = copy.deepcopy(template["Resources"][name])
    role["Properties"]["Policies"].append(
        {part: shared[part] for part in ("PolicyName", "PolicyDocument")}
    )
    return role


def _listed(value: Any) -> list[Any]:
    """Return a list without the Nones, which moto leaves where CloudFormation leaves nothing."""
    return [each for each in value if each] if isinstance(value, list) else [value]


@pytest.fixture(scope="session")
def always(template: dict[str, Any]) -> set[Grant]:
    return grants(template, TagLabels="none")


def test_it_may_write_its_log_and_keep_what_was_not_delivered(always: set[Grant]) -> None:
    assert always == {
        ("logs:CreateLogStream", f"arn:aws:logs:{HERE}:log-group:LOG_GROUP:*"),
        ("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:LOG_GROUP:*"),
        ("s3:PutObject", "arn:aws:s3:::BUCKET/failed/*"),
        ("s3:PutObject", "arn:aws:s3:::BUCKET/later/*"),
        ("s3:PutObject", "arn:aws:s3:::BUCKET/rejected/*"),
        *OF_DESTINATION,
    }


def test_lambda_takes_the_bucket_as_a_destination(template: dict[str, Any]) -> None:
    """AWS's own example and CDK grant as much; a grant on a prefix is refused."""
    [grant] = [s for s in statements(template) if s["Sid"] == "LetLambdaKeepEvents"]
    assert {*grant["Action"]} == {"s3:PutObject", "s3:ListBucket"}
    assert grant["Resource"] == ["arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/*"]
    assert grant["Condition"] == {"StringEquals": {"aws:ResourceAccount": "123456789012"}}


def test_lambda_takes_a_bucket_under_a_key_as_a_destination(template: dict[str, Any]) -> None:
    [grant] = [
        s for s in statements(template, KmsKeyArn=KEY) if s["Sid"] == "LetLambdaEncryptEvents"
    ]
    assert (grant["Action"], grant["Resource"]) == ("kms:GenerateDataKey", KEY)
    assert "Condition" not in grant


def test_the_shipper_may_not_write_to_the_folders_of_other_functions(
    template: dict[str, Any],
) -> None:
    policy = template["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    [denied] = [
        s["Fn::If"][1]
        for s in policy["Statement"]
        if "Fn::If" in s and s["Fn::If"][1]["Sid"] == "ShipperLeavesFoldersOfOthers"
    ]
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == (
        "Deny",
        "*",
        "s3:PutObject",
    )
    shipper, kinesis, log_files = (
        {"Fn::GetAtt": [f"{name}Role", "Arn"]} for name in ("Shipper", "Kinesis", "LogFiles")
    )
    on_condition = [
        {"Fn::If": [condition, role, {"Ref": "AWS::NoValue"}]}
        for condition, role in (("ReadsKinesis", kinesis), ("ShipsLogFiles", log_files))
    ]
    assert denied["Condition"] == {"ArnEquals": {"aws:PrincipalArn": [shipper, *on_condition]}}
    closed = {each["Fn::Sub"].removeprefix("${Bucket.Arn}/") for each in denied["Resource"]}
    expiring = template["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    written = {f"{rule['Prefix']}*" for rule in expiring}
    others = {
        resource["Fn::Sub"].removeprefix("${Bucket.Arn}/")
        for name in ("RedriverRole", "SubscriberRole")
        for policy in template["Resources"][name]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if "s3:PutObject" in _listed(statement.get("Action", []))
        for resource in _listed(statement["Resource"])
    }
    assert closed == (others - written) | {"first-lines/*"}


def test_the_redriver_may_empty_the_bucket_but_for_what_loki_refused(
    template: dict[str, Any], always: set[Grant]
) -> None:
    redrivers = grants(template, "Redriver", TagLabels="none")
    assert always - redrivers == OF_DESTINATION - {("s3:ListBucket", "arn:aws:s3:::BUCKET")}
    cursor = {
        (action, "arn:aws:s3:::BUCKET/redriver/*") for action in ("s3:GetObject", "s3:PutObject")
    }
    assert redrivers - always - cursor == {
        (action, f"arn:aws:s3:::BUCKET/{folder}/*")
        for action in ("s3:GetObject", "s3:DeleteObject")
        for folder in ("failed", "first-lines", "later", "aws/lambda")
    }
    assert cursor <= redrivers


def test_the_function_for_kinesis_may_read_its_stream_and_otherwise_what_the_shipper_may(
    template: dict[str, Any], always: set[Grant]
) -> None:
    """AWS's policy for Lambda and Kinesis names these actions."""
    granted = grants(template, "Kinesis", TagLabels="none", KinesisStreamArn=STREAM)
    actions = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator")
    assert granted - always == {
        *((f"kinesis:{action}", STREAM) for action in (*actions, "ListShards")),
        DECRYPT,
    }
    assert always <= granted


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ("my-logs", {"my-logs"}),
        (
            "my-logs/AWSLogs/=alb,my.other,hive/account=1/day=2/,x-y=json",
            {"my-logs", "my.other", "hive", "x-y"},
        ),
        (",".join(f"logs-{number}/a" for number in range(20)), {f"logs-{n}" for n in range(20)}),
    ],
)
def test_the_function_for_log_files_may_read_the_listed_buckets_and_otherwise_what_the_shipper_may(
    template: dict[str, Any], always: set[Grant], listed: str, names: set[str]
) -> None:
    pattern = template["Parameters"]["LogBuckets"]["AllowedPattern"]
    assert re.fullmatch(pattern, listed)
    granted = {
        (action, resource.replace(HERE, "HERE"))
        for action, resource in grants(template, "LogFiles", TagLabels="none", LogBuckets=listed)
        # No bucket can have such a name.
        if not resource.startswith("arn:aws:s3:::-")
    }
    own = {(action, resource.replace(HERE, "HERE")) for action, resource in always}
    sqs = ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage", "SendMessage")
    progress = ("DeleteObject", "GetObject", "PutObject")
    [queue] = {resource for action, resource in granted if action.startswith("sqs:")}
    assert (
        granted - own
        == {
            *((f"sqs:{action}", queue) for action in sqs),
            *((f"s3:{action}", "arn:aws:s3:::BUCKET/progress/*") for action in progress),
            *((f"s3:{each}", f"arn:aws:s3:::{name}/*") for name in names for each in OF_OBJECTS),
            *((f"s3:{each}", f"arn:aws:s3:::{name}") for name in names for each in OF_BUCKETS),
            ("s3:ListBucket", "arn:aws:s3:::BUCKET"),
            ("kms:Decrypt", "arn:aws:kms:*:*:key/*"),
        }
        - own
    )
    assert own - granted == OF_DESTINATION - {("s3:ListBucket", "arn:aws:s3:::BUCKET")}


OF_OBJECTS = ("GetObject", "GetObjectVersion")
OF_BUCKETS = ("GetBucketTagging", "ListBucket")


def test_the_redriver_may_read_the_tags_of_buckets_if_there_are_log_files(
    template: dict[str, Any],
) -> None:
    """Lines of log files that it ships again need the labels that they had."""
    more = grants(template, "Redriver", LogBuckets="my-logs") - grants(template, "Redriver")
    assert more == {("s3:GetBucketTagging", "arn:aws:s3:::*")}
    found = statements(template, "Redriver", LogBuckets="my-logs")
    [read] = [s for s in found if s["Sid"] == "ReadTagsOfBuckets"]
    assert read["Condition"] == {"StringEquals": {"aws:ResourceAccount": HERE.split(":")[1]}}


def test_log_files_under_any_key_are_decrypted_for_s3_only(template: dict[str, Any]) -> None:
    found = statements(template, "LogFiles", LogBuckets="my-logs")
    [decrypt] = [s for s in found if s["Sid"] == "DecryptLogFiles"]
    assert decrypt["Condition"] == {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}


def test_the_subscriber_changes_notifications_of_this_account_and_one_rule_only(
    template: dict[str, Any],
) -> None:
    policy = template["Resources"]["LogBucketsPolicy"]["Properties"]["PolicyDocument"]
    buckets, rule = policy["Statement"]
    assert buckets["Condition"] == {
        "StringEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}
    }
    assert {*buckets["Action"]} == {
        "s3:GetBucketLocation",
        "s3:GetBucketNotification",
        "s3:PutBucketNotification",
    }
    place = "events:${AWS::Region}:${AWS::AccountId}:rule/${LogFilesRule}"
    assert rule["Resource"] == {"Fn::Sub": f"arn:${{AWS::Partition}}:{place}"}
    assert {*rule["Action"]} == {"events:DescribeRule", "events:PutRule"}


def test_only_services_that_act_for_this_account_may_send_to_the_queue_of_log_files(
    template: dict[str, Any],
) -> None:
    policy = template["Resources"]["LogFilesQueuePolicy"]["Properties"]["PolicyDocument"]
    conditions = {
        statement["Principal"]["Service"]: statement["Condition"]
        for statement in policy["Statement"]
        if (statement["Effect"], statement["Action"]) == ("Allow", "sqs:SendMessage")
    }
    assert conditions == {
        "s3.amazonaws.com": {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        "sns.amazonaws.com": of_source("sns:*:${AWS::AccountId}:*"),
        "events.amazonaws.com": of_source("events:${AWS::Region}:${AWS::AccountId}:rule/*"),
    }


def of_source(arn: str) -> dict[str, Any]:
    return {"ArnLike": {"aws:SourceArn": {"Fn::Sub": f"arn:${{AWS::Partition}}:{arn}"}}}


def test_a_stream_under_any_key_is_decrypted_and_nothing_else(template: dict[str, Any]) -> None:
    found = statements(template, "Kinesis", KinesisStreamArn=STREAM)
    [decrypt] = [s for s in found if s["Sid"] == "DecryptTheStream"]
    assert decrypt["Condition"] == {
        "StringEquals": {
            "kms:ViaService": f"kinesis.{REGION}.amazonaws.com",
            "kms:EncryptionContext:aws:kinesis:arn": STREAM,
        }
    }


@pytest.mark.parametrize("name", ["Shipper", "Redriver"])
@pytest.mark.parametrize("key", ["", KEY], ids=["no key now", "another key now"])
def test_objects_under_a_former_key_stay_readable(
    template: dict[str, Any], name: str, key: str
) -> None:
    former = [f"arn:aws:kms:{HERE}:key/{each}" for each in ("old", "older")]
    before = grants(template, name, KmsKeyArn=key)
    after = grants(template, name, KmsKeyArn=key, FormerKmsKeyArns=",".join(former))
    assert after - before == {("kms:Decrypt", each) for each in former}


@pytest.mark.parametrize(
    "parameters",
    [{}, {"TagLabels": "team"}, {"TagLabels": "none", "TenantTag": "team"}],
    ids=["labels by default", "labels by name", "tenants"],
)
def test_it_may_read_tags_where_they_become_labels_or_tenants(
    template: dict[str, Any], always: set[Grant], parameters: dict[str, str]
) -> None:
    assert grants(template, **parameters) - always == READ_TAGS


@pytest.mark.parametrize(
    "parameter", ["LokiSecret", "LokiCaCert", "LokiClientCert", "LokiClientKey"]
)
@pytest.mark.parametrize(
    ("reference", "granted"),
    [
        pytest.param(
            SECRET, {("secretsmanager:GetSecretValue", SECRET)}, id="ARN of Secrets Manager"
        ),
        pytest.param(PARAMETER, {("ssm:GetParameter", PARAMETER)}, id="ARN of a parameter"),
        pytest.param(
            "/team/loki", {("ssm:GetParameter", PARAMETER)}, id="parameter in a hierarchy"
        ),
        pytest.param(
            "loki",
            {("ssm:GetParameter", f"arn:aws:ssm:{HERE}:parameter/loki")},
            id="parameter",
        ),
    ],
)
def test_it_may_read_only_the_secret_that_is_named(
    template: dict[str, Any],
    always: set[Grant],
    parameter: str,
    reference: str,
    granted: set[Grant],
) -> None:
    assert grants(template, TagLabels="none", **{parameter: reference}) - always == {
        DECRYPT,
        *granted,
    }


@pytest.mark.parametrize(
    "parameter", ["LokiSecret", "LokiCaCert", "LokiClientCert", "LokiClientKey"]
)
@pytest.mark.parametrize(
    ("reference", "context"),
    [
        pytest.param(SECRET, ("SecretARN", SECRET), id="Secrets Manager"),
        pytest.param(PARAMETER, ("PARAMETER_ARN", PARAMETER), id="ARN of a parameter"),
        pytest.param("/team/loki", ("PARAMETER_ARN", PARAMETER), id="parameter in a hierarchy"),
        pytest.param("team/loki", ("PARAMETER_ARN", PARAMETER), id="parameter"),
    ],
)
def test_a_secret_under_any_key_is_decrypted_and_no_other(
    template: dict[str, Any], parameter: str, reference: str, context: tuple[str, str]
) -> None:
    found = statements(template, **{parameter: reference})
    [decrypt] = [s for s in found if s["Sid"] == "DecryptSecrets"]
    named = {
        # moto leaves a None where CloudFormation leaves AWS::NoValue out.
        key.removeprefix("kms:EncryptionContext:"): {value for value in values if value}
        for key, values in decrypt["Condition"]["StringEqualsIfExists"].items()
    }
    name, value = context
    assert value in named[name]
    assert named["SecretARN"] == {reference}
    assert len(named["PARAMETER_ARN"]) == 1
    assert decrypt["Condition"]["StringEquals"] == {
        "kms:ViaService": [
            f"{service}.{REGION}.amazonaws.com" for service in ("secretsmanager", "ssm")
        ]
    }


@pytest.mark.parametrize("parameter", ["LokiCaCert", "LokiClientCert"])
def test_a_certificate_in_text_form_needs_no_right(
    template: dict[str, Any], always: set[Grant], parameter: str
) -> None:
    assert grants(template, TagLabels="none", **{parameter: PEM}) == always


def test_it_may_use_a_key_only_through_the_services_that_need_it(
    template: dict[str, Any], always: set[Grant]
) -> None:
    assert grants(template, TagLabels="none", KmsKeyArn=KEY) - always == {
        ("kms:GenerateDataKey", KEY),
        ("kms:Decrypt", KEY),
    }
    (key,) = [s for s in statements(template, KmsKeyArn=KEY) if s["Sid"] == "UseKey"]
    assert key["Condition"] == {
        "StringEquals": {
            "kms:ViaService": [
                f"{service}.{REGION}.amazonaws.com" for service in ("s3", "secretsmanager", "ssm")
            ]
        }
    }


def test_in_a_vpc_lambda_may_give_it_network_interfaces_and_its_own_code_may_not(
    template: dict[str, Any], always: set[Grant]
) -> None:
    parameters = {"TagLabels": "none", "SubnetIds": "subnet-1", "SecurityGroupIds": "sg-1"}
    granted = grants(template, **parameters) - always
    assert {resource for _, resource in granted} == {"*"}
    assert "ec2:CreateNetworkInterface" in {action for action, _ in granted}
    (denied,) = [s for s in statements(template, **parameters) if s["Effect"] == "Deny"]
    assert {action for action, _ in granted} - {*denied["Action"]} == {
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
    }
    assert denied["Condition"] == {
        "ArnLike": {"lambda:SourceFunctionArn": f"arn:aws:lambda:{HERE}:function:*"}
    }


def test_only_lambda_may_take_a_role_of_a_function(template: dict[str, Any]) -> None:
    roles = {n: r for n, r in template["Resources"].items() if r["Type"] == "AWS::IAM::Role"}
    del roles["HubDestinationRole"]
    assert roles
    for role in roles.values():
        assert role["Properties"]["AssumeRolePolicyDocument"]["Statement"] == [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ]


@pytest.mark.parametrize("name", ["Shipper", "Redriver", "Kinesis"])
def test_each_function_has_a_role_of_its_own(template: dict[str, Any], name: str) -> None:
    function = template["Resources"][f"{name}Function"]["Properties"]
    assert function["Role"] == {"Fn::GetAtt": [f"{name}Role", "Arn"]}


def test_it_may_read_only_the_rules_that_are_named(
    template: dict[str, Any], always: set[Grant]
) -> None:
    for rules in ("", "none", "loki_shipper/rules.toml"):
        assert grants(template, TagLabels="none", Rules=rules) == always
    granted = grants(template, TagLabels="none", Rules="s3://ours/a/rules.toml") - always
    assert granted == {("s3:GetObject", "arn:aws:s3:::ours/a/rules.toml")}


ORGANIZATION = "o-abc1234567"
HUB = {"LokiUrl": "https://loki", "KinesisStreamArn": STREAM, "OrganizationId": ORGANIZATION}
HUB_ACCOUNT = "999999999999"
MEMBER = {
    "LokiUrl": "",
    "DestinationArn": f"arn:aws:logs:{REGION}:{HUB_ACCOUNT}:destination:loki-shipper",
    "HubBucket": "hub-bucket",
}
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::AccountId": "123456789012",
    "AWS::URLSuffix": "amazonaws.com",
}


def of_subscriber(**parameters: str) -> set[Grant]:
    """Return the rights of the subscriber's role outside of its own account."""
    values = TemplateValues(parameters, {}, PSEUDO)
    granted_rights = granted(read_template(), "SubscriberRole", values)
    return {
        (right.action, right.resource)
        for right in granted_rights
        if HUB_ACCOUNT in right.resource or "hub-bucket" in right.resource
    }


def test_a_member_may_send_to_its_hub_and_write_below_its_own_account() -> None:
    index, lines = (f"arn:aws:s3:::hub-bucket/{f}/123456789012/doctor" for f in FOLDERS)
    key = f"arn:aws:kms:{REGION}:{HUB_ACCOUNT}:key/doctor"
    assert of_subscriber(**MEMBER) == {
        ("logs:PutSubscriptionFilter", MEMBER["DestinationArn"]),
        ("s3:GetObject", index),
        ("s3:PutObject", index),
        ("s3:PutObject", lines),
        ("kms:GenerateDataKey", key),
        ("kms:Decrypt", key),
    }
    assert of_subscriber(LokiUrl="https://loki") == set()


FOLDERS = ("tags", "first-lines")


def test_a_hub_lets_members_write_below_their_own_account_and_nothing_else(
    template: dict[str, Any],
) -> None:
    policy = template["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
    allowed = [
        (each["Fn::If"][0], each["Fn::If"][1])
        for each in policy["Statement"]
        if "Fn::If" in each and each["Fn::If"][1]["Effect"] == "Allow"
    ]
    assert not [s for s in policy["Statement"] if s.get("Effect") == "Allow"]
    bucket = {"Fn::GetAtt": ["Bucket", "Arn"]}
    tags, lines = (
        {"Fn::Join": ["", [bucket, f"/{folder}/${{aws:PrincipalAccount}}/*"]]} for folder in FOLDERS
    )
    assert [(name, s["Action"], s["Resource"]) for name, s in allowed] == [
        ("IsHub", ["s3:GetObject", "s3:PutObject"], tags),
        ("IsHub", "s3:PutObject", lines),
    ]
    # S3 takes a policy for everybody as a public one, unless it names the organization.
    for _, statement in allowed:
        assert statement["Condition"] == {
            "StringEquals": {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}
        }


def test_a_hub_lets_its_organization_subscribe_to_its_stream(template: dict[str, Any]) -> None:
    destination = template["Resources"]["HubDestination"]
    assert destination["Condition"] == "IsHub"
    assert destination["Properties"]["TargetArn"] == {"Ref": "KinesisStreamArn"}
    text = destination["Properties"]["DestinationPolicy"]["Fn::Sub"]
    [statement] = json.loads(text)["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "${OrganizationId}"}}
    assert statement["Resource"].endswith(":${AWS::AccountId}:destination:${AWS::StackName}")
    assert destination["Properties"]["DestinationName"] == {"Ref": "AWS::StackName"}


def test_cloudwatch_logs_may_only_put_into_the_stream_of_a_hub(template: dict[str, Any]) -> None:
    role = template["Resources"]["HubDestinationRole"]["Properties"]
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"]["Service"]["Fn::If"][1:] == [
        "logs.amazonaws.com.cn",
        "logs.amazonaws.com",
    ]
    [policy] = role["Policies"]
    puts, encrypts = policy["PolicyDocument"]["Statement"]
    assert puts["Action"] == ["kinesis:PutRecord", "kinesis:PutRecords"]
    assert puts["Resource"] == {"Ref": "KinesisStreamArn"}
    assert encrypts["Condition"]["StringEquals"]["kms:EncryptionContext:aws:kinesis:arn"] == {
        "Ref": "KinesisStreamArn"
    }


OPTIONS = {"Canary": "on", "LogBuckets": "my-logs"}


def test_a_member_has_a_subscriber_and_nothing_that_delivers_to_loki(
    template: dict[str, Any],
) -> None:
    there = {
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] != "AWS::CloudWatch::Alarm"
        and ("Condition" not in resource or holds(template, resource["Condition"], MEMBER))
    }
    assert there == {
        "DependenciesLayerArm64",
        *("SubscriberFunction", "SubscriberLogGroup", "SubscriberRole", "Links"),
        *("ChangesRule", "ChangesQueue", "DeadChangesQueue"),
        *("ChangesQueuePolicy", "ChangesMapping", "Bucket", "BucketPolicy"),
    }
    everything = {n for n, r in template["Resources"].items() if "Alarm" not in r["Type"]}
    hub = {
        name
        for name in everything
        if "Condition" not in template["Resources"][name]
        or holds(template, template["Resources"][name]["Condition"], HUB | OPTIONS)
    }
    assert everything - hub == {"DependenciesLayerX8664"}


READER = f"arn:aws:secretsmanager:{HERE}:secret:reader-a1b2c3"


def of_canary(**parameters: str) -> set[Grant]:
    resources = {"CanaryLogGroup": "OWN", "CanaryLines": "LINES"}
    values = TemplateValues({"Canary": "on", **parameters}, resources, PSEUDO)
    return {(each.action, each.resource) for each in granted(read_template(), "CanaryRole", values)}


def test_the_canary_may_write_and_read_its_lines_and_nothing_else() -> None:
    lines = {f"arn:aws:logs:{HERE}:log-group:LINES{end}" for end in ("", ":doctor")}
    actions = ("logs:PutLogEvents", "logs:FilterLogEvents", "logs:ListTagsForResource")
    assert of_canary() == {
        ("logs:CreateLogStream", f"arn:aws:logs:{HERE}:log-group:OWN:doctor"),
        ("logs:PutLogEvents", f"arn:aws:logs:{HERE}:log-group:OWN:doctor"),
        *((action, resource) for action in actions for resource in lines),
    }


def test_only_the_canary_may_read_the_secret_for_queries(template: dict[str, Any]) -> None:
    read = {
        resource
        for action, resource in of_canary(LokiSecret=SECRET, LokiReadSecret=READER)
        if action == "secretsmanager:GetSecretValue"
    }
    assert read == {SECRET, READER}
    shippers = grants(template, TagLabels="none", LokiReadSecret=READER)
    assert shippers == grants(template, TagLabels="none")


@pytest.mark.parametrize(
    "sid", ["ReadSecrets", "DecryptSecrets", "BeInVpc", "LeaveTheNetworkToLambda"]
)
def test_the_canary_reaches_loki_with_the_rights_of_the_shipper(
    template: dict[str, Any], sid: str
) -> None:
    resources = template["Resources"]
    [own] = resources["CanaryRole"]["Properties"]["Policies"]
    canary, shipper = (
        next(
            each["Fn::If"][1]
            for each in policy["PolicyDocument"]["Statement"]
            if "Fn::If" in each and each["Fn::If"][1]["Sid"] == sid
        )
        for policy in (own, resources["DeliveryPolicy"]["Properties"])
    )
    assert without_reader(canary) == shipper


def without_reader(value: Any) -> Any:
    """Leave out what names the secret for queries."""
    match value:
        case {"Fn::If": ["LokiReadSecretIsNamed", *_]}:
            return None
        case dict():
            return {key: without_reader(each) for key, each in value.items()}
        case list():
            return [kept for each in value if (kept := without_reader(each)) is not None]
        case _:
            return value
