"""`plan`, `link` and `unlink` on 200 log groups of an AWS on loopback."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from msgspec import structs

from loki_shipper.cli import main
from loki_shipper.cli.errors import NotDeliveredError
from loki_shipper.cli.link import finish
from loki_shipper.cli.link_output import LinkResult
from loki_shipper.cli.unlink import unlink
from tests.conftest import SWEEP
from tests.local_deployment import NAME, OWN, REGION, Deployment, Skipping, deployed

FULL = {f"/aws/lambda/full-{number}" for number in range(10)}
CHOSEN = {f"/aws/lambda/f{number:03}" for number in range(120)} | {"/aws/lambda/odd#1"}
STALE = {f"/ecs/stale-{number}" for number in range(5)}


@pytest.fixture
def two_hundred() -> Iterator[Deployment]:
    """Log groups to link, full ones, our own, others, and some that should not be linked."""
    with deployed() as here:
        here.make_stack(EXCLUDE="*-test", TAG_CONDITIONS="team")
        for number, name in enumerate(sorted(CHOSEN)):
            here.group(name, foreign=number % 6 == 0, team=f"t{number % 7}")
        for name in sorted(FULL):
            here.group(name, foreign=2, team="full")
        for name in OWN:
            here.group(name, team="ours")
        for name in sorted(STALE):
            here.group(name, foreign=1, team="x")
            here.aws.subscribe(name, here.shipper)
        for number in range(20):
            here.group(f"/aws/lambda/{number}-test", team="x")
            here.group(f"/aws/lambda/{number}-untagged")
            here.group(f"/ecs/{number}", foreign=number % 3, team="x")
        here.group("/other", foreign=2)
        yield here


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        yield here


def test_plan_shows_the_system_fields_of_a_centralized_log_group(here: Deployment) -> None:
    here.make_stack(INCLUDE="/central/*,/app/*", CENTRALIZED="/central/*")
    for name in ("/central/a", "/app/b"):
        here.group(name)
    fields = ["@aws.account", "@aws.region", "@source.log"]
    planned = read(here.run("plan", "--json"))
    assert {each["log_group"]: each["system_fields"] for each in planned} == {
        "/central/a": fields,
        "/app/b": [],
    }
    text = here.run("plan", COLUMNS="200").stdout
    assert f"link    /central/a  new, with {', '.join(fields)}\n" in text
    assert "link    /app/b  new\n" in text


def without_first_lines(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each | {"first_lines": None} for each in objects]


def read(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_plan_shows_what_link_does_and_unlink_keeps_only_other_tools_filters(
    two_hundred: Deployment,
) -> None:
    here = two_hundred
    foreign = {
        name: [each for each in filters if each != NAME] for name, filters in here.filters.items()
    }
    plan = read(here.run("plan", "--json"))
    assert len(plan) == 200
    assert Counter(each["action"] for each in plan) == {"link": 131, "unlink": 5, "none": 64}
    assert read(here.run("link", "--all", "--dry-run", "--json")) == plan
    assert not here.linked - STALE

    done = read(here.run("link", "--all", "--json"))
    assert here.linked == CHOSEN
    # Whether a log group is full shows only when it is tried.
    assert {each["log_group"] for each in plan if each["action"] == "link"} == CHOSEN | FULL
    full = {"action": "cannot", "reason": "full", "pattern": None, "system_fields": None}
    assert without_first_lines(done) == [
        each | full if each["log_group"] in FULL else each for each in plan
    ]
    assert {each["log_group"] for each in done if each["first_lines"]} == CHOSEN

    again = read(here.run("plan", "--json"))
    assert {each["action"] for each in again} == {"none", "cannot"}
    assert {each["log_group"] for each in again if each["action"] == "cannot"} == FULL
    assert without_first_lines(read(here.run("link", "--all", "--json"))) == again

    unlinked = read(here.run("unlink", "--all", "--json"))
    assert {each["log_group"] for each in unlinked if each["action"] == "unlink"} == CHOSEN
    assert here.filters == {name: filters for name, filters in foreign.items() if filters}
    assert not here.linked


def test_prints_tables_for_people(here: Deployment) -> None:
    here.make_stack()
    here.group("/aws/lambda/a")
    here.group("/aws/lambda/b", foreign=2)
    here.group("/ecs/c")
    assert here.run("plan").stdout == (
        "link    /aws/lambda/a  new\n"
        "link    /aws/lambda/b  new\n"
        "3 log groups: 2 to link, 1 not included\n"
    )
    assert here.run("link", "--all").stdout == (
        "link    /aws/lambda/a  new\n"
        "cannot  /aws/lambda/b  all its places are taken by other filters\n"
        "3 log groups: 1 linked, 1 not included, 1 without a place for our filter\n"
    )
    assert here.run("plan").stdout == (
        "cannot  /aws/lambda/b  all its places are taken by other filters: foreign-0, foreign-1\n"
        "3 log groups: 1 linked already, 1 not included, 1 without a place for our filter\n"
    )


def test_links_one_log_group_and_keeps_it_linked(here: Deployment) -> None:
    here.make_stack()
    here.group("/aws/lambda/a")
    here.group("/ecs/b")
    assert here.run("link", "/ecs/b").exit_code == 0
    assert here.linked == {"/ecs/b"}
    here.run("link", "--all")
    assert here.linked == {"/ecs/b", "/aws/lambda/a"}
    assert here.run("unlink", "/aws/lambda/a", "/ecs/b").exit_code == 0
    here.run("link", "--all")
    assert not here.linked
    here.run("link", "/aws/lambda/a")
    assert here.linked == {"/aws/lambda/a"}


def test_takes_another_selection_for_once(here: Deployment) -> None:
    here.make_stack()
    here.group("/aws/lambda/a", team="pay")
    here.group("/aws/lambda/b")
    here.group("/ecs/c", team="pay")
    words = ("--include", "/ecs/*", "--include", "/aws/*", "--tag", "team=pay")
    assert "2 to link" in here.run("plan", *words).stdout
    result = here.run("link", "--all", *words)
    assert here.linked == {"/aws/lambda/a", "/ecs/c"}
    assert "its own selection again" in result.stderr
    assert here.run("unlink", "--all", "--include", "/ecs/*").exit_code == 0
    assert here.linked == {"/aws/lambda/a"}
    assert here.run("unlink", "--all", "--include", "/none/*").exit_code == 0
    assert here.linked == {"/aws/lambda/a"}


def test_links_nothing_after_unlink_all_until_link_all(here: Deployment) -> None:
    here.make_stack()
    here.group("/aws/lambda/a")
    here.run("link", "--all")
    assert "1 to unlink" in here.run("unlink", "--all", "--dry-run").stdout
    assert here.linked
    here.run("unlink", "--all")
    assert "1 unlinked until `loki-shipper link --all`" in here.run("plan").stdout
    here.run("link", "--all")
    assert here.linked


def test_fresh_finds_what_others_changed(here: Deployment) -> None:
    here.make_stack()
    here.group("/aws/lambda/a")
    here.run("link", "--all")
    here.aws.client("logs").delete_subscription_filter(
        logGroupName="/aws/lambda/a", filterName=NAME
    )
    assert "to link" not in here.run("plan").stdout
    assert "1 to link" in here.run("plan", "--fresh").stdout
    here.run("link", "--all", "--fresh")
    assert here.linked


def test_works_with_a_shipper_that_something_else_deployed(here: Deployment) -> None:
    here.group("/aws/lambda/a")
    here.group(f"/aws/lambda/{here.name}-shipper")
    assert here.run("link", "--all", "--function", here.shipper).exit_code == 0
    assert here.linked == {"/aws/lambda/a"}


def test_before_a_deletion_it_unlinks_also_without_the_bucket(
    here: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.make_stack()
    here.group("/aws/lambda/a", foreign=1)
    here.run("link", "--all")
    s3 = here.aws.client("s3")
    for each in s3.list_objects_v2(Bucket=here.bucket)["Contents"]:
        s3.delete_object(Bucket=here.bucket, Key=each["Key"])
    s3.delete_bucket(Bucket=here.bucket)
    assert here.run("unlink", "--all").exit_code == 1
    for name, value in here.aws.environ.items():
        monkeypatch.setenv(name, value)
    options = dict.fromkeys(("profile", "region", "function"))
    options |= dict.fromkeys(("include", "exclude", "tags"), ())
    options_of_all = {"groups": (), "all_groups": True, "dry_run": False, "as_json": False}
    with click.Context(unlink, obj=Skipping().clock) as context:
        context.invoke(unlink, deletion=True, stack=here.name, **options_of_all, **options)
    assert here.filters == {"/aws/lambda/a": ["foreign-0"]}


def test_says_which_log_groups_have_no_tenant(here: Deployment) -> None:
    here.make_stack(TENANT_TAG="tenant")
    here.group("/aws/lambda/owned", tenant="t1")
    here.group("/aws/lambda/unowned")
    here.group("/ecs/c")
    words = "it lacks the tag that TenantTag names, and LokiTenant is empty: its lines would"
    assert f"cannot  /aws/lambda/unowned  {words} have no tenant\n" in here.run("plan").stdout
    assert "1 without a tenant" in here.run("link", "--all").stdout
    assert here.linked == {"/aws/lambda/owned"}
    # Their lines would be rejected, whoever asks for them.
    assert f"cannot  /aws/lambda/unowned  {words}" in here.run("link", "/aws/lambda/unowned").stdout
    assert here.linked == {"/aws/lambda/owned"}
    [linked, other] = json.loads(here.run("status", "--json").stdout)
    assert (linked["note"], other["log_group"]) == ("", "/aws/lambda/unowned")
    assert words in other["note"]
    assert f"not linked; left alone: {words}" in here.run("explain", "/aws/lambda/unowned").stdout
    here.make_stack_again(TENANT_TAG="tenant", LOKI_TENANT="rest")
    here.run("link", "--all")
    assert here.linked == {"/aws/lambda/owned", "/aws/lambda/unowned"}


def test_reports_first_lines(capsys: pytest.CaptureFixture[str]) -> None:
    report = structs.replace(SWEEP, waiting=2, given_up=["/aws/lambda/a"])
    with pytest.raises(NotDeliveredError, match="the first lines of 1 log groups are given up"):
        finish(LinkResult([], report, {}, {}), as_json=False)
    said = capsys.readouterr().out
    assert "2 log groups: their first lines wait for the next run\n" in said
    assert "first lines given up, too old for Loki or deleted: /aws/lambda/a\n" in said


# What goes wrong


@pytest.mark.parametrize("command", ["link", "unlink"])
def test_requires_names_or_all_and_not_both(here: Deployment, command: str) -> None:
    result = here.run(command)
    assert result.exit_code == 2
    assert "name log groups, or give --all" in result.stderr
    result = here.run(command, "--all", "/a")
    assert result.exit_code == 2
    assert "--all does not go with names: leave out --all, or /a" in result.stderr


@pytest.mark.parametrize("command", ["plan", "status"])
def test_says_what_to_do_if_there_is_no_stack(here: Deployment, command: str) -> None:
    result = here.run(command)
    assert result.exit_code == 2
    assert f"there is no stack {here.name} here ({REGION}): name the deployment" in result.stderr


def test_takes_a_selection_with_all_only(here: Deployment) -> None:
    here.make_stack()
    result = here.run("link", "/aws/lambda/a", "--include", "*")
    assert result.exit_code == 2
    assert "go with --all" in result.stderr


def test_names_a_log_group_that_does_not_exist(here: Deployment) -> None:
    here.make_stack()
    result = here.run("link", "/aws/lambda/none")
    assert result.exit_code == 2
    assert "there is no log group /aws/lambda/none" in result.stderr


def test_says_what_is_wrong_with_a_condition(here: Deployment) -> None:
    result = here.run("plan", "--tag", "!a=b")
    assert result.exit_code == 2
    assert "write key=value, key or !key" in result.stderr


# Help


@pytest.mark.parametrize("command", ["plan", "link", "unlink", "status", "backfill", "deploy"])
def test_help_has_a_worked_example_and_fits_80_columns(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"], prog_name="loki-shipper")
    assert f"\n    loki-shipper {command} " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
