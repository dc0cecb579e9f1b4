"""`loki-shipper deploy` as a person or a script runs it, against AWS on loopback."""

import json
from collections.abc import Iterator

import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from tests.deployment.account import HANDLERS, REGION, Account
from tests.deployment.cloudformation import run_cloudformation


@pytest.fixture
def account(aws: LocalAws) -> Iterator[Account]:
    with run_cloudformation(aws) as cloudformation:
        account = Account(aws, cloudformation)
        for name in ("/aws/lambda/checkout", "/aws/lambda/report", "/ecs/shop"):
            aws.create_log_group(name, {"team": "payments"})
        yield account


@pytest.fixture
def chosen(loki: Loki | Running, tenant: str) -> list[str]:
    return ["--loki-url", loki.url, "--set", f"LokiTenant={tenant}", "--yes"]


def test_makes_a_stack_links_and_proves_that_a_line_arrives(
    account: Account, chosen: list[str]
) -> None:
    done = account.run(*chosen, "--grafana", "https://grafana.example/")
    assert done.exit_code == 0, done.output
    assert "Creates the stack loki-shipper in eu-west-1" in done.stdout
    assert "links      2 of 3 log groups: /aws/lambda/checkout, /aws/lambda/report" in done.stdout
    assert "costs      about $16.50 a month" in done.stdout
    for resource in ("ShipperFunction", "Bucket", "Links"):
        assert f"created  {resource}\n" in done.stdout
    assert account.linked("loki-shipper") == {"/aws/lambda/checkout", "/aws/lambda/report"}
    assert "The function shipped a line to Loki.\nLoki gave it back." in done.stdout
    assert 'log_group="/loki-shipper/deploy"' in done.stdout
    assert "https://grafana.example/explore?schemaVersion=1&panes=%7B" in done.stdout


def test_its_code_is_in_a_bucket_of_the_account_and_region(
    account: Account, chosen: list[str]
) -> None:
    account.run(*chosen)
    bucket = f"loki-shipper-artifacts-123456789012-{REGION}"
    assert bucket in account.buckets()
    resources = account.cloudformation.stacks["loki-shipper"].template["Resources"]
    for name in (*HANDLERS, "DependenciesLayerArm64"):
        uri = (
            resources[name]["Properties"].get("CodeUri")
            or resources[name]["Properties"]["ContentUri"]
        )
        key = uri.removeprefix(f"s3://{bucket}/")
        assert account.aws.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]


def test_a_named_bucket_is_used(account: Account, chosen: list[str]) -> None:
    place = {"LocationConstraint": REGION}
    account.aws.client("s3").create_bucket(Bucket="mine", CreateBucketConfiguration=place)
    assert account.run(*chosen, "--bucket", "mine").exit_code == 0
    assert not [name for name in account.buckets() if "artifacts" in name]


def test_a_dry_run_changes_nothing_at_all(account: Account, chosen: list[str]) -> None:
    before = account.buckets()
    done = account.run(*chosen, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "Creates the stack loki-shipper" in done.stdout
    assert "makes      3 functions, a layer, a bucket" in done.stdout
    assert done.stdout.endswith("Nothing was changed.\n")
    assert not account.cloudformation.changes
    assert not account.cloudformation.stacks
    assert account.buckets() == before
    assert not account.linked("loki-shipper")


def test_a_repeat_says_that_all_is_up_to_date(account: Account, chosen: list[str]) -> None:
    account.run(*chosen)
    changes = len(account.cloudformation.changes)
    again = account.run("--yes")
    assert again.exit_code == 0, again.output
    assert "The stack is up to date." in again.stdout
    assert "Loki gave it back." in again.stdout
    assert len(account.cloudformation.changes) == changes


def test_an_upgrade_keeps_parameters_and_asks_nothing(account: Account, chosen: list[str]) -> None:
    account.run(*chosen, "--set", "MemorySize=512", "--set", "TagConditions=team=payments")
    before = dict(account.cloudformation.stacks["loki-shipper"].parameters)
    # What an older version left.
    stack = account.cloudformation.stacks["loki-shipper"]
    stack.template = json.loads(json.dumps(stack.template).replace("/function-", "/older-"))
    stack.parameters["OneRedriver"] = "off"
    done = account.run("--yes")
    assert done.exit_code == 0, done.output
    assert "Updates the stack" in done.stdout
    assert stack.parameters == before


def test_a_change_of_only_the_template_is_an_upgrade(account: Account, chosen: list[str]) -> None:
    account.run(*chosen)
    stack = account.cloudformation.stacks["loki-shipper"]
    del stack.template["Resources"]["Dashboard"]
    done = account.run("--yes")
    assert "updated  Dashboard" in done.stdout
    assert "Dashboard" in stack.template["Resources"]


def test_a_change_shows_the_old_and_the_new_value(account: Account, chosen: list[str]) -> None:
    account.run(*chosen)
    done = account.run("--yes", "--set", "IncludeLogGroups=/ecs/*")
    assert "IncludeLogGroups  /aws/lambda/* → /ecs/*" in done.stdout
    assert "links      1 of 3 log groups: /ecs/shop" in done.stdout
    assert account.environ("loki-shipper-subscriber")["INCLUDE"] == "/ecs/*"
    assert account.linked("loki-shipper") == {"/ecs/shop"}


def test_says_which_log_files_it_will_ship_and_what_their_metrics_cost(
    account: Account, chosen: list[str]
) -> None:
    account.run(*chosen)
    words = ("--set", "LogBuckets=my-logs/AWSLogs/,other=json", "--dry-run")
    done = account.run("--yes", *words)
    assert "log files  those of s3://my-logs/AWSLogs/, s3://other/" in done.stdout
    assert "costs      about $18.30 a month: metrics $15.30" in done.stdout


def test_a_second_stack_does_not_change_the_first_one(account: Account, chosen: list[str]) -> None:
    account.run(*chosen, "--set", "IncludeLogGroups=/ecs/*", "--set", "MemorySize=512")
    first = dict(account.cloudformation.stacks["loki-shipper"].parameters)
    account.run(*chosen, "--stack", "second")
    account.run("--yes")
    assert account.cloudformation.stacks["loki-shipper"].parameters == first
    assert account.cloudformation.stacks["second"].parameters["MemorySize"] == "256"
    assert account.linked("second") == {"/aws/lambda/checkout", "/aws/lambda/report"}
    assert account.linked("loki-shipper") == {"/ecs/shop"}


def test_a_failure_names_the_resource_and_a_second_run_continues(
    account: Account, chosen: list[str]
) -> None:
    account.cloudformation.fails = {"SubscriberRole": "not authorized to perform: iam:CreateRole"}
    failed = account.run(*chosen)
    assert failed.exit_code == 1
    assert "failed   SubscriberRole: not authorized to perform: iam:CreateRole" in failed.stdout
    assert "SubscriberRole (AWS::IAM::Role) failed" in failed.stderr
    assert "get the right that AWS names" in failed.stderr
    account.cloudformation.fails = {}
    again = account.run("--yes")
    assert again.exit_code == 0, again.output
    assert "clears away an earlier deployment that is ROLLBACK_COMPLETE" in again.stdout
    assert account.linked("loki-shipper")


def test_only_a_terminal_is_asked_for_the_url(account: Account) -> None:
    done = account.run()
    assert done.exit_code == 2
    assert done.stderr == ("Error: the stack needs LokiUrl: give --loki-url, or --set KEY=VALUE\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "MemorySize=1"), "MemorySize must be a number from 256 to 10240"),
        (("--set", "Memory=512"), "there is no parameter Memory: did you mean MemorySize?"),
        (("--set", "Memory"), "is not a parameter: write KEY=VALUE"),
        (("--loki-url", "loki"), "LokiUrl must start with http:// or https://"),
        (("--secret", "not a name"), "LokiSecret must be the ARN or name of a secret"),
    ],
)
def test_a_wrong_choice_is_reported_before_anything_changes(
    account: Account, words: tuple[str, ...], said: str
) -> None:
    done = account.run("--yes", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not account.cloudformation.changes


def test_deletes_the_stack_when_no_filter_is_left(account: Account, chosen: list[str]) -> None:
    account.run(*chosen)
    done = account.run("--delete", "--yes")
    assert done.exit_code == 0, done.output
    assert "keeps      loki-shipper-bucket, which may hold lines" in done.stdout
    assert "The stack is deleted. The bucket stays: loki-shipper-bucket" in done.stdout
    assert not account.linked("loki-shipper")
    assert "loki-shipper" not in account.cloudformation.stacks
    assert "loki-shipper-bucket" in account.buckets()


def test_a_dry_run_of_a_deletion_changes_nothing(account: Account, chosen: list[str]) -> None:
    account.run(*chosen)
    before = [*account.cloudformation.changes]
    done = account.run("--delete", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "Nothing was changed." in done.stdout
    assert account.cloudformation.changes == before
    assert account.linked("loki-shipper")


def test_a_stack_with_a_broken_subscriber_can_be_deleted(
    account: Account, chosen: list[str]
) -> None:
    account.run(*chosen)
    account.cloudformation.fails = {"Links": "ImportError: wrong ELF class"}
    done = account.run("--delete", "--yes")
    assert done.exit_code == 0, done.output
    assert "failed   Links: ImportError: wrong ELF class" in done.stdout
    assert "Everything is unlinked: deleting the rest of the stack." in done.stdout
    assert not account.linked("loki-shipper")
    assert "loki-shipper" not in account.cloudformation.stacks


def test_a_stack_whose_deletion_has_failed_is_unlinked_and_deleted(
    account: Account, chosen: list[str]
) -> None:
    account.run(*chosen)
    account.cloudformation.fails = {"Links": "7 log groups left"}
    stack = account.cloudformation.stacks["loki-shipper"]
    account.cloudformation.answer({"Action": "DeleteStack", "StackName": stack.name})
    assert account.linked("loki-shipper")
    done = account.run("--delete", "--yes")
    assert done.exit_code == 0, done.output
    assert not account.linked("loki-shipper")
    assert "loki-shipper" not in account.cloudformation.stacks


def test_a_stack_stays_if_another_resource_cannot_be_deleted(
    account: Account, chosen: list[str]
) -> None:
    account.run(*chosen)
    account.cloudformation.fails = {"ShipperRole": "it is in use"}
    done = account.run("--delete", "--yes")
    assert done.exit_code == 1
    assert "ShipperRole (AWS::IAM::Role) failed: it is in use" in done.output
    assert "loki-shipper" in account.cloudformation.stacks


def test_deleting_a_stack_that_does_not_exist_does_nothing(account: Account) -> None:
    done = account.run("--delete", "--yes")
    assert done.exit_code == 0
    assert "There is no stack loki-shipper: nothing to delete." in done.stdout
