"""`docs/deploy-permissions.json` allows what a deployment needs, and nothing else.

What it needs is derived: the template's resource types, and the actions that AWS's own resource
schemas (cfn-lint brings them along) name for making, reading, changing and deleting each of them.
"""

import ast
import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session

from tests.template.test_subscriber import called

ROOT = Path(__file__).parents[2]
POLICY: dict[str, Any] = json.loads((ROOT / "docs/deploy-permissions.json").read_text("utf-8"))
ALLOWED = {
    action
    for statement in POLICY["Statement"]
    for actions in [statement["Action"]]
    for action in ([actions] if isinstance(actions, str) else actions)
}

BY_SAM = {
    "AWS::Serverless::Function": {"AWS::Lambda::Function"},
    "AWS::Serverless::LayerVersion": {"AWS::Lambda::LayerVersion"},
}
"""What becomes of types that are not CloudFormation's own."""

BY_EVENT = {"AWS::Events::Rule", "AWS::Lambda::Permission"}
"""What SAM makes of a function's events."""

OF_CUSTOM_RESOURCE = {"lambda:InvokeFunction"}
"""CloudFormation invokes the function behind a custom resource in the name of who deploys."""

NOT_USED = {
    "codedeploy:*": "the alias shifts no traffic",
    "lambda:*ProvisionedConcurrency*": "there is none",
    "lambda:*CodeSigningConfig": "code is not signed by AWS's signer",
    "lambda:*ScalingConfig": "no capacity provider",
    "lambda:PassCapacityProvider": "likewise",
    "lambda:AssociateRuntimeAlias": "Lambda keeps the runtime up to date",
    "lambda:PutRuntimeManagementConfig": "likewise",
    "lambda:PutFunctionRecursionConfig": "recursion detection stays as it is",
    "lambda:PublishVersion": "docs/decisions/alias.md",
    "kms:*": "environments are under Lambda's own key",
    "elasticfilesystem:*": "no file systems",
    "s3files:*": "likewise",
    "iam:*GroupPolicy": "only roles have policies",
    "iam:*UserPolicy": "likewise",
    "iam:AttachRolePolicy": "no managed policies",
    "iam:DetachRolePolicy": "likewise",
    "logs:*LogDelivery": "no deliveries",
    "logs:*KmsKey": "log groups are under CloudWatch's own key",
    "logs:PutDataProtectionPolicy": "no policies on log groups",
    "logs:DeleteDataProtectionPolicy": "likewise",
    "logs:PutIndexPolicy": "likewise",
    "logs:DeleteIndexPolicy": "likewise",
    "logs:PutResourcePolicy": "likewise",
    "logs:DeleteResourcePolicy": "likewise",
    "logs:PutBearerTokenAuthentication": "nobody logs by token",
    "logs:PutLogGroupDeletionProtection": "they hold nothing but our own log",
    "firehose:*": "no Firehose",
    "s3:REST.PUT.OBJECT": "no deliveries",
    "s3:*Object": "CloudFormation leaves objects alone",
    "s3:*ObjectAcl": "likewise",
    "s3tables:*": "no metadata tables",
    "s3:*Metadata*": "likewise",
    "s3:*Abac": "access is by policy only",
    "s3:*Acl": "likewise",
    "s3:*Accelerate*": "one Region",
    "s3:*Replication*": "likewise",
    "s3:*Analytics*": "nobody analyses it",
    "s3:*Inventory*": "likewise",
    "s3:*Metrics*": "likewise",
    "s3:*IntelligentTiering*": "it holds little, and not for long",
    "s3:*Cors": "browsers have no business there",
    "s3:*CORS": "likewise",
    "s3:*Website": "likewise",
    "s3:*Logging": "nobody reads it but the stack's roles",
    "s3:*Notification": "nobody listens",
    "s3:*ObjectLock*": "objects are deleted when they have arrived",
}
"""Actions for what our resources do not have. Reading is never left out: see `needed`."""

OF_TOOLS = {
    "cloudformation:*": "stacks and change sets, and how they come along",
    "lambda:ListVersionsByFunction": "sam deploy",
    "s3:PutBucketVersioning": "the bucket to which sam deploy uploads has versions",
    "s3:DeleteObject": "sam delete takes its uploads away, Terraform those of an older release",
    "s3:DeleteObjectVersion": "likewise, where the bucket has versions",
    "s3:ListBucketVersions": "likewise",
    "s3:GetBucketLocation": "Terraform finds the Region of your bucket",
    "s3:GetObject": "uploads, the templates among them, and what is remembered of links",
    "s3:GetObjectVersion": "likewise",
    "s3:GetObjectTagging": "Terraform reads tags of its uploads",
    "s3:PutObject": "uploads, and what is remembered of links",
    "s3:PutObjectTagging": "default tags of a Terraform provider",
    "cloudwatch:GetMetricData": "status, which deploy shows, and what linking would cost",
    "secretsmanager:CreateSecret": "deploy stores the credentials that it asks for",
    "secretsmanager:DescribeSecret": "likewise",
    "secretsmanager:PutSecretValue": "likewise",
    "secretsmanager:RestoreSecret": "likewise, where the secret is to be deleted",
    "secretsmanager:TagResource": "likewise, where your tools tag what is made",
}
"""What `sam`, `loki-shipper deploy` and the Terraform module ask for beside the resources."""

LINKING = {
    *("logs:DescribeLogGroups", "logs:FilterLogEvents", "lambda:InvokeFunction"),
    *("logs:ListTagsForResource", "logs:ListTagsLogGroup", "tag:GetResources"),
    "lambda:ListTags",
}
"""What `loki-shipper deploy` and `deploy --delete` do beside calls on filters and policies."""

WORDS = {
    "PARTITION": "aws-us-gov",
    "ACCOUNT": "123456789012",
    "REGION": "us-gov-west-1",
    "STACK": "loki-shipper",
    "BUCKET": "a-bucket-with-a-name-of-some-length",
}
"""The words that are to be replaced, with long values."""


BOUND = r"STACK|aws-sam-cli-managed-default|loki-shipper-artifacts|:::BUCKET|transform/Serverless"
"""The stack, and where its code is uploaded."""


@pytest.fixture(scope="session")
def needed(template: dict[str, Any]) -> set[str]:
    resources = template["Resources"].values()
    custom = [r for r in resources if r["Type"].startswith("Custom::")]
    own = [r["Type"] for r in resources if r not in custom]
    types = set[str]().union(*(BY_SAM.get(name, {name}) for name in own))
    if any(resource["Properties"].get("Events") for resource in resources):
        types |= BY_EVENT
    found = {name: actions for name, actions in schemas() if name in types}
    assert types - found.keys() == set(), "no schema says what these need"
    actions = set[str]().union(*found.values())
    if custom:
        actions |= OF_CUSTOM_RESOURCE
    return {
        action
        for action in actions
        if not any(fnmatchcase(action, pattern) for pattern in NOT_USED) or reads(action)
    }


def schemas() -> Iterator[tuple[str, set[str]]]:
    """Give each resource type with the actions that its handlers need."""
    package = find_spec("cfnlint")
    assert package is not None
    assert package.origin is not None
    for path in Path(package.origin).parent.glob("data/schemas/resources/*.json"):
        schema = json.loads(path.read_text("utf-8"))
        handlers = schema.get("handlers", {})
        ways = (handlers.get(way, {}) for way in ("create", "read", "update", "delete"))
        yield schema["typeName"], {a for way in ways for a in way.get("permissions", ())}


def reads(action: str) -> bool:
    service, _, name = action.partition(":")
    ours = service in {"cloudwatch", "events", "lambda", "logs", "s3"}
    return ours and name.startswith(("Get", "List", "Describe")) and name != "GetObject"


def test_it_allows_what_the_resources_need(needed: set[str]) -> None:
    denied = {
        action for action in needed if not any(fnmatchcase(action, pattern) for pattern in ALLOWED)
    }
    assert denied == set()


def linking() -> set[str]:
    """Give the actions of a person who links or unlinks: those of the subscriber's own calls.

    Only the function itself puts messages on its queue.
    """
    return called() - {"s3:GetObject", "s3:PutObject", "sqs:SendMessage"}


def test_it_allows_linking_and_unlinking() -> None:
    assert linking() >= LINKING
    assert linking() <= ALLOWED


IAM_NAMES = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "lambda:Invoke": "lambda:InvokeFunction",
}
"""Calls that IAM knows by another name."""


def called_by_deploy() -> set[str]:
    """Give the actions of the calls in the code of `loki-shipper deploy`, whatever the client."""
    services = {"cloudformation", "cloudwatch", "lambda", "s3", "secretsmanager"}
    actions = {
        xform_name(operation): f"{service}:{operation}"
        for service in sorted(services)
        for operation in get_session().get_service_model(service).operation_names
    }
    files = [*(ROOT / "src/loki_shipper/deployment").glob("*.py")]
    files += [ROOT / "src/loki_shipper/cli" / name for name in ("deploy.py", "deployment.py")]
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="get_paginator"), args=[ast.Constant(name)]):
                    found.add(str(name))
                case ast.Call(func=ast.Attribute(attr=name)):
                    found.add(name)
    named = {actions[name] for name in found & actions.keys()}
    return {IAM_NAMES.get(action, action) for action in named}


def test_it_allows_what_the_command_calls() -> None:
    called_actions = called_by_deploy()
    assert {"cloudformation:CreateChangeSet", "s3:PutObject"} <= called_actions
    denied = {
        action
        for action in called_actions
        if not any(fnmatchcase(action, pattern) for pattern in ALLOWED)
    }
    assert denied == set()


def test_it_is_for_every_partition() -> None:
    text = json.dumps(POLICY)
    assert "arn:aws" not in text
    arns = re.findall(r"arn:[^\"]+", text)
    assert arns
    assert [arn for arn in arns if not arn.startswith("arn:PARTITION:")] == []


def test_it_allows_nothing_else(needed: set[str]) -> None:
    reasons = needed | OF_TOOLS.keys() | linking()
    unfounded = {
        action
        for action in ALLOWED
        if not any(fnmatchcase(reason, action) or fnmatchcase(action, reason) for reason in reasons)
    }
    assert unfounded == set()


def test_only_reading_is_allowed_by_pattern() -> None:
    assert [a for a in ALLOWED if "*" in a and not re.match(r"\w+:Get", a)] == []


def test_rights_to_write_are_limited_to_the_stack() -> None:
    for statement in POLICY["Statement"]:
        resources = statement["Resource"]
        if statement["Sid"] == "LinkingOfBuckets":
            # Likewise the notifications of buckets, but of this account only.
            here = {"StringEquals": {"aws:ResourceAccount": "ACCOUNT"}}
            assert (resources, statement["Condition"]) == ("*", here)
            continue
        if statement["Sid"] == "Linking":
            # Whoever links log groups puts filters on those of others.
            here = {"StringEquals": {"aws:RequestedRegion": "REGION"}}
            assert (resources, statement["Condition"]) == ("*", here)
            continue
        if "STACK" in json.dumps(statement.get("Condition", {})):
            continue
        if resources == "*":
            assert all(re.match(r"\w+:(Get|Describe)", each) for each in statement["Action"])
            continue
        if "event-source-mapping" in resources:
            # Their ids are AWS's own, and tags give nobody access.
            reads_or_tags = r"lambda:(Get|List|Tag|Untag)"
            assert all(re.match(reads_or_tags, each) for each in statement["Action"])
            continue
        for resource in [resources] if isinstance(resources, str) else resources:
            assert re.search(BOUND, resource)


def test_roles_are_passed_to_lambda_and_to_the_destination_of_a_hub_only() -> None:
    (passing,) = [s for s in POLICY["Statement"] if "iam:PassRole" in s["Action"]]
    services = ["lambda.amazonaws.com", "logs.amazonaws.com"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": services}}


def test_its_names_are_those_that_the_template_gives(template: dict[str, Any]) -> None:
    text = json.dumps(POLICY)
    layer = template["Resources"]["DependenciesLayerArm64"]["Properties"]["LayerName"]
    board = template["Resources"]["Dashboard"]["Properties"]["DashboardName"]
    assert layer == {"Fn::Sub": "${AWS::StackName}-dependencies"}
    assert "layer:STACK-dependencies" in text
    assert board == {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}
    assert "dashboard/STACK-REGION" in text
    groups = [r for r in template["Resources"].values() if r["Type"] == "AWS::Logs::LogGroup"]
    for group in groups:
        name = group["Properties"]["LogGroupName"]["Fn::Sub"]
        assert name.startswith(
            ("/aws/lambda/${AWS::StackName}-", "/loki-shipper/${AWS::StackName}/")
        )


def test_iam_takes_it_as_an_inline_policy_of_a_role() -> None:
    """Of a managed policy it takes 6,144 characters."""
    text = re.sub(r"\s", "", json.dumps(POLICY))
    for word, value in WORDS.items():
        text = text.replace(word, value)
    assert len(text) <= 10_240
