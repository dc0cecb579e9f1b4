"""One account policy links all log groups except the excluded ones."""

import json
from typing import Any

import pytest

from loki_shipper.subscriber.groups.select import Selection
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.policy.account_policy import (
    Policy,
    TooManyExcludedError,
    account_policy,
    exclude_also,
    policy_texts,
    read_policy,
)
from tests.subscriber.fake_aws import SHIPPER, configured


def rules(**fields: Any) -> Selection:
    settings = configured(link_mode="account", own_log_groups=("/own",), **fields)
    return Selection(settings=settings)


GROUPS = [LogGroup("/ecs/a", 0), LogGroup("/ecs/a-test", 0), LogGroup("/aws/lambda/b", 0)]


def test_excludes_log_groups_that_are_not_selected_and_always_our_own() -> None:
    policy = account_policy(GROUPS, rules(exclude=("*-test",)))
    assert policy == Policy(SHIPPER, "", frozenset({"/own", "/ecs/a-test"}))


def test_changes_single_log_groups_and_keeps_the_rest() -> None:
    before = Policy(SHIPPER, "", frozenset({"/own", "/elsewhere-test", "/ecs/a"}))
    policy = exclude_also(before, GROUPS, rules(exclude=("*-test",), filter_pattern="ERROR"))
    assert policy == Policy(SHIPPER, "", frozenset({"/own", "/elsewhere-test", "/ecs/a-test"}))


def test_a_policy_is_written_for_aws_and_read_back() -> None:
    policy = Policy(SHIPPER, "ERROR", frozenset({"/b", "/a"}))
    document, criteria = policy_texts(policy)
    assert json.loads(document) == {"DestinationArn": SHIPPER, "FilterPattern": "ERROR"}
    assert criteria == 'LogGroupName NOT IN ["/a", "/b"]'
    assert read_policy(document, criteria) == policy


@pytest.mark.parametrize(
    ("document", "criteria"),
    [("{}", ""), ("[]", "LogGroupName NOT IN []"), ('{"DestinationArn":1}', "x"), ("", "")],
)
def test_a_policy_that_something_else_wrote_is_not_read(document: str, criteria: str) -> None:
    assert read_policy(document, criteria) is None


def test_refuses_a_list_that_is_too_long_for_aws() -> None:
    excluded = frozenset(f"/aws/lambda/some-function-{number:05}" for number in range(1000))
    with pytest.raises(TooManyExcludedError, match="1,000 excluded log groups exceed 25 KB"):
        policy_texts(Policy(SHIPPER, "", excluded))
