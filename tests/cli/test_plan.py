"""`loki-shipper plan` before anything is deployed: what a first stack would link."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from loki_shipper.local.aws import LocalAws

type Run = Callable[..., Result]


@pytest.fixture
def account(aws: LocalAws) -> LocalAws:
    aws.create_log_group("/aws/lambda/checkout", {"team": "payments"})
    aws.create_log_group("/aws/lambda/report", {"team": "search"})
    aws.create_log_group("/ecs/shop", {"team": "payments"})
    return aws


def test_shows_what_a_stack_with_default_settings_would_link(run: Run, account: LocalAws) -> None:
    result = run("plan", **account.environ)
    assert result.exit_code == 0
    assert "link    /aws/lambda/checkout" in result.stdout
    assert "3 log groups: 2 to link, 1 not included" in result.stdout
    assert result.stderr.endswith("Nothing is deployed yet: loki-shipper deploy --loki-url URL\n")


def test_takes_another_selection(run: Run, account: LocalAws) -> None:
    words = ("--include", "*", "--exclude", "/ecs/*", "--tag", "team=payments", "--json")
    result = run("plan", *words, **account.environ)
    actions = {each["log_group"]: each["action"] for each in json.loads(result.stdout)}
    assert actions == {
        "/aws/lambda/checkout": "link",
        "/aws/lambda/report": "none",
        "/ecs/shop": "none",
    }


def test_changes_nothing(run: Run, account: LocalAws) -> None:
    run("plan", **account.environ)
    logs = account.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        filters = logs.describe_subscription_filters(logGroupName=group["logGroupName"])
        assert filters["subscriptionFilters"] == []
    assert account.client("s3").list_buckets()["Buckets"] == []
    assert account.client("cloudformation").describe_stacks()["Stacks"] == []


@pytest.mark.parametrize("words", [["--stack", "mine"], ["--function", "mine"]])
def test_a_named_deployment_must_exist(run: Run, account: LocalAws, words: list[str]) -> None:
    result = run("plan", *words, **account.environ)
    assert result.exit_code == 2
    assert "there is no" in result.stderr
