"""The environment becomes settings, or one message with every fault."""

import pytest

from loki_shipper.aws.arn import Origin
from loki_shipper.environment import SettingsError
from loki_shipper.formats import LogBucket
from loki_shipper.subscriber.settings import Condition, SubscriberSettings, settings
from tests.subscriber.fake_aws import SHIPPER


def test_links_lambda_groups_of_one_stack_unless_told_otherwise() -> None:
    assert settings({"SHIPPER_ARN": SHIPPER}) == SubscriberSettings(
        shipper_arn=SHIPPER, include=("/aws/lambda/*",), filter_name="loki-shipper"
    )


def test_reads_every_variable() -> None:
    read = settings(
        {
            "SHIPPER_ARN": f"{SHIPPER}:live",
            "LINK_MODE": "Account",
            "INCLUDE": "/aws/lambda/*, /ecs/*",
            "EXCLUDE": "*-test",
            "TAG_CONDITIONS": "team=a,team=b,driver,!internal",
            "FILTER_PATTERN": "?ERROR ?WARN",
            "FILTER_PATTERN_TAG": "pattern",
            "CENTRALIZED": "/central/*",
            "FUNCTION_TAGS": "off",
            "TENANT_TAG": "tenant",
            "LOKI_TENANT": "rest",
            "FILTER_NAME": "mine",
            "OWN_LOG_GROUPS": "/a,/b",
            "LOG_BUCKETS": "my-logs/AWSLogs/=alb",
            "BUCKET": "bucket",
            "LOG_LEVEL": "debug",
        }
    )
    assert read == SubscriberSettings(
        shipper_arn=f"{SHIPPER}:live",
        link_mode="account",
        include=("/aws/lambda/*", "/ecs/*"),
        exclude=("*-test",),
        tag_conditions=(
            Condition("team", ("a", "b")),
            Condition("driver", ()),
            Condition("internal", None),
        ),
        filter_pattern="?ERROR ?WARN",
        filter_pattern_tag="pattern",
        centralized=("/central/*",),
        function_tags=False,
        tenant_tag="tenant",
        loki_tenant="rest",
        filter_name="mine",
        own_log_groups=("/a", "/b"),
        log_buckets=(LogBucket("my-logs", "AWSLogs/", "alb"),),
        bucket="bucket",
        log_level="DEBUG",
    )
    assert read.origin == Origin("aws", "eu-central-1", "123456789012")


def test_names_every_fault_in_one_message() -> None:
    with pytest.raises(SettingsError) as raised:
        settings(
            {
                "LINK_MODE": "some",
                "TAG_CONDITIONS": "!team,team",
                "FILTER_NAME": "a:b",
                "FUNCTION_TAGS": "maybe",
                "LOG_LEVEL": "loud",
            }
        )
    assert str(raised.value) == (
        "LINK_MODE must be one of groups, account; "
        "TAG_CONDITIONS asks for 'team' to be there and not to be there; "
        "FUNCTION_TAGS must be one of on, off; "
        "FILTER_NAME must be at most 512 characters, without : and *; "
        "LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR; "
        "SHIPPER_ARN is not set"
    )


@pytest.mark.parametrize("text", ["=x", "!", "!a=b"])
def test_refuses_text_that_is_no_condition(text: str) -> None:
    with pytest.raises(SettingsError, match="write key=value, key or !key"):
        settings({"SHIPPER_ARN": SHIPPER, "TAG_CONDITIONS": text})


def test_refuses_a_shipper_arn_that_names_no_function() -> None:
    with pytest.raises(SettingsError, match="SHIPPER_ARN is not the ARN of a function"):
        settings({"SHIPPER_ARN": "loki-shipper"})


def test_the_log_group_that_lambda_would_make_for_the_subscriber_is_our_own() -> None:
    environ = {
        "SHIPPER_ARN": SHIPPER,
        "OWN_LOG_GROUPS": "/a",
        "AWS_LAMBDA_FUNCTION_NAME": "loki-shipper-SubscriberFunction-1a2b",
    }
    assert settings(environ).own_log_groups == (
        "/a",
        "/aws/lambda/loki-shipper-SubscriberFunction-1a2b",
    )
