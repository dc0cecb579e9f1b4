"""The template's parameters are the settings, by the declaration in `settings.py`."""

import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from msgspec import NODEFAULT
from msgspec.structs import fields

from loki_shipper.environment import parameter_names
from loki_shipper.settings import Settings, settings, variables
from tests.template.conftest import holds

PARAMETERS = parameter_names(Settings)
TYPES = {name.upper(): hint for name, hint in get_type_hints(Settings).items()}
WORDS = {name for name in PARAMETERS if TYPES[name] is bool or get_origin(TYPES[name]) is Literal}
NUMBERS = {name for name in PARAMETERS if TYPES[name] is int}
A_URL = {"LOKI_URL": "https://loki.example"}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("ShipperFunction", {}),
        ("KinesisFunction", {"KINESIS_STREAM_ARN": {"Ref": "KinesisStreamArn"}}),
        (
            "LogFilesFunction",
            {"LOG_FILES_DEAD_LETTERS": {"Fn::GetAtt": ["LogFilesDeadLetters", "Arn"]}},
        ),
    ],
)
def test_the_function_gets_every_setting_from_its_parameter_and_nothing_else(
    template: dict[str, Any], name: str, own: dict[str, Any]
) -> None:
    function = template["Resources"][name]["Properties"]
    expected = {name: {"Ref": parameter} for name, parameter in PARAMETERS.items()}
    assert function["Environment"]["Variables"] == own | expected | {
        "BUCKET": {"Ref": "Bucket"},
        "STACK": {"Ref": "AWS::StackName"},
        "RES_OPTIONS": "timeout:2 attempts:2",
    }


def test_a_required_setting_is_required_by_a_rule(template: dict[str, Any]) -> None:
    """A member of a hub has no shipper, so no parameter is required of every stack."""
    required = {field.name.upper() for field in fields(Settings) if field.default is NODEFAULT}
    assert {PARAMETERS[name] for name in required} == {"LokiUrl"}
    assert rule_holds(template, "LokiOrHub") is False
    assert rule_holds(template, "LokiOrHub", LokiUrl="https://loki")
    assert rule_holds(template, "LokiOrHub", DestinationArn=DESTINATION)


DESTINATION = "arn:aws:logs:eu-central-1:999999999999:destination:loki-shipper"


def rule_holds(template: dict[str, Any], name: str, **parameters: str) -> bool:
    """Tell whether CloudFormation takes these parameters."""
    [assertion] = template["Rules"][name]["Assertions"]
    assert assertion["AssertDescription"]
    return holds(template, assertion["Assert"], parameters)


def test_a_member_names_the_bucket_of_its_hub_and_a_hub_its_stream(
    template: dict[str, Any],
) -> None:
    assert rule_holds(template, "BucketOfHub")
    assert not rule_holds(template, "BucketOfHub", DestinationArn=DESTINATION)
    assert rule_holds(template, "BucketOfHub", DestinationArn=DESTINATION, HubBucket="b")
    assert rule_holds(template, "StreamOfHub")
    assert not rule_holds(template, "StreamOfHub", OrganizationId="o-abc1234567")
    stream = "arn:aws:kinesis:eu-central-1:999999999999:stream/logs"
    assert rule_holds(
        template, "StreamOfHub", OrganizationId="o-abc1234567", KinesisStreamArn=stream
    )


def test_a_stack_of_defaults_has_the_settings_of_an_empty_environment(
    template: dict[str, Any],
) -> None:
    environ = {
        name: str(template["Parameters"][parameter].get("Default", ""))
        for name, parameter in PARAMETERS.items()
    }
    assert settings(environ | A_URL) == settings(A_URL)


@pytest.mark.parametrize("name", sorted(WORDS))
def test_the_allowed_values_are_all_values_of_the_setting(
    template: dict[str, Any], name: str
) -> None:
    offered = template["Parameters"][PARAMETERS[name]]["AllowedValues"]
    meant = {True, False} if TYPES[name] is bool else set(get_args(TYPES[name]))
    assert {variables()[name].format.parse(word) for word in offered} == meant
    assert len(offered) == len(meant)


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_a_number_has_the_bounds_of_its_setting(template: dict[str, Any], name: str) -> None:
    parameter = template["Parameters"][PARAMETERS[name]]
    parse = variables()[name].format.parse
    assert parameter["Type"] == "Number"
    if "AllowedValues" in parameter:
        assert [parse(str(value)) for value in parameter["AllowedValues"]] == parameter[
            "AllowedValues"
        ]
        with pytest.raises(ValueError, match=", ".join(map(str, parameter["AllowedValues"]))):
            parse("7")
        return
    assert parse(str(parameter["MinValue"])) == parameter["MinValue"]
    assert parse(str(parameter["MaxValue"])) == parameter["MaxValue"]
    for beyond in (parameter["MinValue"] - 1, parameter["MaxValue"] + 1):
        with pytest.raises(ValueError, match="whole number"):
            parse(str(beyond))


@pytest.mark.parametrize(
    ("parameter", "text", "taken"),
    [
        ("LokiUrl", "http://loki:3100", True),
        ("LokiUrl", "https://loki.example/loki/api/v1/push", True),
        ("LokiUrl", "loki.example", False),
        ("LokiUrl", "https://user:password@loki.example", False),
        ("LokiSecret", "", True),
        ("LokiSecret", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:loki-a1b2c3", True),
        ("LokiSecret", "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/loki", True),
        ("LokiSecret", "/team/loki", True),
        ("LokiSecret", "loki.push", True),
        ("LokiSecret", '{"token": "glc_secret"}', False),
        ("LokiClientKey", "/team/loki-key", True),
        ("LokiClientKey", "-----BEGIN PRIVATE KEY-----\nMIG\n", False),
        ("KmsKeyArn", "", True),
        ("KmsKeyArn", "arn:aws:kms:eu-central-1:123456789012:key/1234abcd", True),
        ("KmsKeyArn", "alias/loki", False),
        ("ReservedConcurrency", "", True),
        ("ReservedConcurrency", "10", True),
        ("ReservedConcurrency", "0", False),
        ("KinesisStreamArn", "", True),
        ("KinesisStreamArn", "arn:aws:kinesis:eu-central-1:123456789012:stream/logs", True),
        ("KinesisStreamArn", "logs", False),
        ("KinesisStreamArn", "arn:aws:kinesis:eu-west-1:123456789012:stream/a/consumer/b:1", False),
        ("AlarmTopicArn", "", True),
        ("AlarmTopicArn", "arn:aws:sns:eu-central-1:123456789012:on-call", True),
        ("AlarmTopicArn", "on-call", False),
        ("PermissionsBoundary", "arn:aws:iam::123456789012:policy/team/boundary", True),
        ("PermissionsBoundary", "boundary", False),
        ("OrganizationId", "", True),
        ("OrganizationId", "o-abc1234567", True),
        ("OrganizationId", "abc1234567", False),
        ("DestinationArn", "", True),
        ("DestinationArn", "arn:aws:logs:eu-central-1:999999999999:destination:hub", True),
        ("DestinationArn", "arn:aws:kinesis:eu-central-1:999999999999:stream/hub", False),
        ("AccountTenants", "", True),
        ("AccountTenants", "111111111111=team-a|team-b,222222222222=team-c", True),
        ("AccountTenants", "team-a", False),
        ("AccountTenants", "111111111111=", False),
        ("AccountTenants", "111111111111=a b", False),
    ],
)
def test_a_pattern_rejects_values_that_cannot_work(
    template: dict[str, Any], parameter: str, text: str, *, taken: bool
) -> None:
    pattern = template["Parameters"][parameter]["AllowedPattern"]
    assert (re.fullmatch(pattern, text) is not None) == taken
