"""The stack gives the subscriber its settings and rights, in the right order of resources."""

import ast
import json
import re
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from botocore import xform_name
from botocore.session import get_session

from loki_shipper.environment import parameter_names
from loki_shipper.model import OWN_TAG
from loki_shipper.subscriber.invocation import _SHARE
from loki_shipper.subscriber.request import AuditDue, GroupsChanged, Sweep, request
from loki_shipper.subscriber.self_audit import audit_variables
from loki_shipper.subscriber.settings import SubscriberSettings, settings, variables
from tests.subscriber.fake_aws import SHIPPER

ROOT = Path(__file__).parents[2]
PARAMETERS = parameter_names(SubscriberSettings)
SERVICES = {
    "logs": ("logs", "logs"),
    "tagging": ("resourcegroupstaggingapi", "tag"),
    "s3": ("s3", "s3"),
    "functions": ("lambda", "lambda"),
    "queues": ("sqs", "sqs"),
    "cloudformation": ("cloudformation", "cloudformation"),
    "_s3": ("s3", "s3"),
    "_event_rules": ("events", "events"),
    "rules": ("events", "events"),
}
"""By the names that clients have in the code: boto3's service, and IAM's."""

ACTIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
}
"""Calls that IAM knows by another name."""

UNCALLED = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "s3:ListBucket",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}
"""What Lambda does for the function, and what tells an absent object from a denied one."""


def properties(template: dict[str, Any], name: str) -> dict[str, Any]:
    resource: dict[str, Any] = template["Resources"][name]["Properties"]
    return resource


def statements(template: dict[str, Any]) -> list[dict[str, Any]]:
    [policy] = properties(template, "SubscriberRole")["Policies"]
    of_buckets = properties(template, "LogBucketsPolicy")
    assert of_buckets["Roles"] == [{"Ref": "SubscriberRole"}]
    found = [
        statement
        for each in (policy, of_buckets)
        for statement in each["PolicyDocument"]["Statement"]
    ]
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in found]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def called() -> set[str]:
    """The actions that the calls in the code need."""
    names = ("aws", "bucket_calls", "ship", "stack/answer")
    files = [
        ROOT / "src/loki_shipper/aws/boto.py",
        *(ROOT / f"src/loki_shipper/subscriber/{name}.py" for name in names),
    ]
    actions = set()
    for node in chain.from_iterable(ast.walk(ast.parse(f.read_text("utf-8"))) for f in files):
        match node:
            case ast.Attribute(attr=method, value=ast.Attribute(attr=client)) if client in SERVICES:
                actions.add(action(client, method))
            case ast.Attribute(attr=method, value=ast.Name(id=client)) if client in SERVICES:
                actions.add(action(client, method))
    return actions


def action(client: str, method: str) -> str:
    service, prefix = SERVICES[client]
    names = get_session().get_service_model(service).operation_names
    [operation] = [name for name in names if xform_name(name) == method]
    return ACTIONS.get(f"{prefix}:{operation}", f"{prefix}:{operation}")


OF_AUDIT = {
    "cloudwatch:GetMetricData",
    "logs:GetQueryResults",
    "logs:StartQuery",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameter",
}
"""What `audit/calls.py` calls, and what reads the credentials for queries."""


def test_it_may_do_what_its_code_calls_and_nothing_else(template: dict[str, Any]) -> None:
    granted = {
        action
        for statement in statements(template)
        if statement["Effect"] == "Allow"
        for action in listed(statement["Action"])
        if not action.startswith("kms:")
    }
    assert granted == called() | UNCALLED | OF_AUDIT


def test_it_has_rights_only_on_log_groups_its_objects_and_the_shipper(
    template: dict[str, Any],
) -> None:
    everything = {
        action
        for statement in statements(template)
        if statement["Resource"] == "*"
        for action in listed(statement["Action"])
    }
    # They are about the account: IAM knows no smaller resource for them.
    assert everything == {
        "tag:GetResources",
        "logs:DescribeAccountPolicies",
        "logs:DescribeSubscriptionFilters",
        "logs:DeleteAccountPolicy",
        "logs:DeleteSubscriptionFilter",
        "logs:PutAccountPolicy",
        "logs:PutSubscriptionFilter",
        "cloudwatch:GetMetricData",
        "logs:GetQueryResults",
    }
    # AWS asks for the right on filters beside that on the policy of filters; in this Region only.
    for statement in statements(template):
        if statement["Resource"] == "*" and statement["Sid"] != "ReadAllTags":
            assert statement["Condition"] == {
                "StringEquals": {"aws:RequestedRegion": {"Ref": "AWS::Region"}}
            }
    [ships] = [s for s in statements(template) if s["Action"] == "lambda:InvokeFunction"]
    assert ships["Resource"] == {"Ref": "ShipperAlias"}


def test_no_policy_lets_it_link_our_own_log_groups(template: dict[str, Any]) -> None:
    ours = {
        name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Logs::LogGroup"
    }
    [denied] = [s for s in statements(template) if s["Sid"] == "NeverOurOwn"]
    assert denied["Action"] == "logs:PutSubscriptionFilter"
    resources = [if_all(each) for each in denied["Resource"]]
    named = {re.search(r"log-group:\${(\w+)}:\*$", each["Fn::Sub"]) for each in resources}
    # The stack puts the filter on the log group with the canary's lines itself.
    assert {match[1] for match in named if match} == ours - {"CanaryLines"}
    environ = properties(template, "SubscriberFunction")["Environment"]["Variables"]
    comma, listed = environ["OWN_LOG_GROUPS"]["Fn::Join"]
    own = [if_all(each) for each in listed]
    assert comma == ","
    assert {each["Ref"] for each in own if "Ref" in each} == ours
    # Lambda's own names for them; the subscriber cannot name itself here, and adds its own.
    assert [each["Fn::Sub"] for each in own if "Fn::Sub" in each] == [
        "/aws/lambda/${ShipperFunction}",
        "/aws/lambda/${RedriverFunction}",
        "/aws/lambda/${KinesisFunction}",
        "/aws/lambda/${LogFilesFunction}",
        "/aws/lambda/${CanaryFunction}",
    ]


def if_all(value: dict[str, Any]) -> Any:
    """Return a value as it is in a stack with everything that a parameter turns on."""
    match value:
        case {
            "Fn::If": [
                "Ships" | "ReadsKinesis" | "ShipsLogFiles" | "HasCanary",
                then,
                {"Ref": "AWS::NoValue"},
            ]
        }:
            return then
        case _:
            return value


def test_every_log_group_and_function_has_the_tag_of_a_loki_shipper(
    template: dict[str, Any],
) -> None:
    stack = {"Ref": "AWS::StackName"}
    resources = template["Resources"].values()
    groups = [r["Properties"] for r in resources if r["Type"] == "AWS::Logs::LogGroup"]
    functions = [r["Properties"] for r in resources if r["Type"] == "AWS::Serverless::Function"]
    # The shipper drops lines of log groups with the tag, and so it would drop the canary's.
    groups.remove(template["Resources"]["CanaryLines"]["Properties"])
    assert len(groups) == len(functions) == 6
    assert [group["Tags"] for group in groups] == [[{"Key": OWN_TAG, "Value": stack}]] * 6
    assert [function["Tags"] for function in functions] == [{OWN_TAG: stack}] * 6
    # What CloudWatch Logs takes as the key of a tag.
    assert re.fullmatch(r"(?!aws:)[\w .:/=+@-]{1,128}", OWN_TAG)


def test_no_policy_lets_it_link_log_groups_with_the_tag(template: dict[str, Any]) -> None:
    [denied] = [s for s in statements(template) if s["Sid"] == "NeverThatOfAnotherStack"]
    assert (denied["Effect"], denied["Action"]) == ("Deny", "logs:PutSubscriptionFilter")
    assert denied["Resource"]["Fn::Sub"].endswith(":log-group:*")
    # The deny holds where the tag is there.
    assert denied["Condition"] == {"Null": {f"aws:ResourceTag/{OWN_TAG}": "false"}}


def test_it_gets_every_setting_from_its_parameter_or_the_stack(template: dict[str, Any]) -> None:
    environ = properties(template, "SubscriberFunction")["Environment"]["Variables"]
    of_loki = {"LOKI_URL", "LOKI_CA_CERT", "LOKI_CLIENT_CERT", "LOKI_CLIENT_KEY", "BUILTIN_LABELS"}
    assert environ.keys() == variables().keys() | audit_variables().keys() | of_loki
    assert all(environ[name]["Fn::If"][0] == "AuditReadsLoki" for name in of_loki)
    given: dict[str, Any] = {name: {"Ref": p} for name, p in PARAMETERS.items()}
    given |= {
        "SHIPPER_ARN": {"Fn::If": ["Ships", {"Ref": "ShipperAlias"}, {"Ref": "AWS::NoValue"}]},
        "ACCOUNT": {"Ref": "AWS::AccountId"},
        "BUCKET": {"Ref": "Bucket"},
        "QUEUE_URL": {"Ref": "ChangesQueue"},
        "STACK": {"Ref": "AWS::StackName"},
        "FILTER_NAME": {"Ref": "AWS::StackName"},
    }
    assert {name: environ[name] for name in given} == given


def test_a_stack_of_defaults_has_the_settings_of_an_empty_environment(
    template: dict[str, Any],
) -> None:
    environ = {
        name: str(template["Parameters"][parameter].get("Default", ""))
        for name, parameter in PARAMETERS.items()
    }
    required = {"SHIPPER_ARN": SHIPPER}
    assert settings(environ | required) == settings(required)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_the_allowed_values_are_all_values_of_the_setting(
    template: dict[str, Any], name: str
) -> None:
    hint = get_type_hints(SubscriberSettings)[name.lower()]
    offered = template["Parameters"][PARAMETERS[name]].get("AllowedValues", [])
    meant = {True, False} if hint is bool else set()
    if get_origin(hint) is Literal:
        meant = set(get_args(hint))
    assert {variables()[name].format.parse(word) for word in offered} == meant


def test_links_are_deleted_before_everything_that_a_filter_needs(template: dict[str, Any]) -> None:
    """CloudFormation deletes resources in the opposite order of their dependencies."""
    links = template["Resources"]["Links"]
    needed = [{"Ref": "ShipperPermission"}, {"Ref": "ShipperInvocation"}]
    assert links["Properties"]["After"] == {"Fn::If": ["Ships", needed, {"Ref": "AWS::NoValue"}]}
    # A deletion goes on by way of the queue.
    assert "ChangesMapping" in links["DependsOn"]
    assert links["Properties"]["Destination"] == {
        "Fn::If": ["Ships", {"Ref": "ShipperAlias"}, {"Ref": "DestinationArn"}]
    }
    assert links["Properties"]["ServiceToken"] == {"Fn::GetAtt": ["SubscriberFunction", "Arn"]}


def test_notifications_are_taken_out_before_the_queue_and_the_rights_go(
    template: dict[str, Any],
) -> None:
    """CloudFormation deletes a resource that loses its condition after it has updated Links."""
    needed = [
        {"Ref": name} for name in ("LogFilesMapping", "LogFilesQueuePolicy", "LogBucketsPolicy")
    ]
    assert properties(template, "Links")["LogFilesAfter"] == {
        "Fn::If": ["ShipsLogFiles", needed, {"Ref": "AWS::NoValue"}]
    }
    assert template["Resources"]["LogBucketsPolicy"]["Condition"] == "ShipsLogFiles"
    [of_the_role] = properties(template, "SubscriberRole")["Policies"]
    assert "BucketNotification" not in str(of_the_role)


def test_a_change_of_the_selection_is_an_update_of_the_links(template: dict[str, Any]) -> None:
    selection = {each["Ref"] for each in properties(template, "Links")["Selection"]}
    assert selection == set(PARAMETERS.values()) - {"LogLevel"}


def test_a_deployment_with_another_layer_has_the_function_say_that_it_works(
    template: dict[str, Any],
) -> None:
    [layer] = properties(template, "SubscriberFunction")["Layers"]
    assert properties(template, "Links")["Layer"] == layer


def test_it_may_read_only_its_own_stack(template: dict[str, Any]) -> None:
    [looks] = [s for s in statements(template) if s["Action"] == "cloudformation:DescribeStacks"]
    assert looks["Resource"] == {"Ref": "AWS::StackId"}


def test_cloudformation_waits_longer_than_the_function_runs(template: dict[str, Any]) -> None:
    timeout = properties(template, "SubscriberFunction")["Timeout"]
    assert timeout == 900
    assert properties(template, "Links")["ServiceTimeout"] > timeout


def test_changes_wait_in_a_queue_for_few_runs_at_a_time(template: dict[str, Any]) -> None:
    [target] = properties(template, "ChangesRule")["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["ChangesQueue", "Arn"]}
    [sends] = properties(template, "ChangesQueuePolicy")["PolicyDocument"]["Statement"]
    assert sends["Principal"] == {"Service": "events.amazonaws.com"}
    assert sends["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["ChangesRule", "Arn"]}}
    }
    mapping = properties(template, "ChangesMapping")
    assert mapping["FunctionName"] == {"Ref": "SubscriberFunction"}
    assert mapping["MaximumBatchingWindowInSeconds"] > 0
    assert mapping["ScalingConfig"]["MaximumConcurrency"] == 1 / _SHARE
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_a_change_that_keeps_failing_goes_to_the_dead_letter_queue(
    template: dict[str, Any],
) -> None:
    queue = properties(template, "ChangesQueue")
    # Lambda takes no queue whose messages come again before the function has ended.
    assert queue["VisibilityTimeout"] >= properties(template, "SubscriberFunction")["Timeout"]
    dead = queue["RedrivePolicy"]["deadLetterTargetArn"]
    assert dead == {"Fn::GetAtt": ["DeadChangesQueue", "Arn"]}
    [dimension] = properties(template, "ChangesNotFollowed")["Dimensions"]
    assert dimension["Value"] == {"Fn::GetAtt": ["DeadChangesQueue", "QueueName"]}


def test_it_gets_changes_of_log_groups_and_sweeps_every_hour(
    template: dict[str, Any],
) -> None:
    events = properties(template, "SubscriberFunction")["Events"]
    assert events["Hourly"]["Properties"]["Schedule"] == "rate(1 hour)"
    assert request({"source": "aws.events", "detail-type": "Scheduled Event"}) == Sweep()
    pattern = properties(template, "ChangesRule")["EventPattern"]
    parameters = {
        "logGroupName": "/a",
        "resourceArn": "arn:aws:logs:eu-central-1:123456789012:log-group:/a",
    }
    for name in pattern["detail"]["eventName"]:
        event = {
            "source": pattern["source"][0],
            "detail-type": pattern["detail-type"][0],
            "detail": {"eventName": name, "requestParameters": parameters},
        }
        assert request(event) == GroupsChanged(("/a",))
    # A call of its own in the pattern would keep it busy with itself.
    assert not called() & {f"logs:{name}" for name in pattern["detail"]["eventName"]}


def test_it_audits_the_stack_every_day(template: dict[str, Any]) -> None:
    daily = properties(template, "SubscriberFunction")["Events"]["Daily"]["Properties"]
    assert daily["Schedule"] == "rate(1 day)"
    assert request(json.loads(daily["Input"])) == AuditDue()


def test_an_audit_that_stops_is_told_and_a_new_stack_is_not(template: dict[str, Any]) -> None:
    alarm = template["Resources"]["LinesMissing"]["Properties"]
    # Without data an alarm goes to INSUFFICIENT_DATA, in which a new one begins without a message.
    assert alarm["TreatMissingData"] == "missing"
    assert alarm["InsufficientDataActions"] == alarm["AlarmActions"]
    assert alarm["Period"] == 24 * 3600


def test_the_audit_reads_no_secret_for_pushes(template: dict[str, Any]) -> None:
    [reads] = [s for s in statements(template) if s["Sid"] == "ReadSecretsForQueries"]
    conditions = [each["Fn::If"][0] for each in reads["Resource"]]
    assert "LokiReadSecretIsNamed" in conditions
    assert "LokiSecretIsNamed" not in conditions
