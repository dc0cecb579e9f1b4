"""`--retention` of plan and link, and what unlink takes back, on an AWS on loopback."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result

from loki_shipper.cli.errors import NotDeliveredError
from loki_shipper.cli.link import finish
from loki_shipper.cli.link_output import LinkResult
from loki_shipper.cli.retention import savings_text
from loki_shipper.deployment.retention import RETENTION_DAYS, RetentionChange, retention_savings
from loki_shipper.local.aws import LocalAws
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.run.report import RunReport
from tests.cli.conftest import Run
from tests.local_deployment import NAME, Deployment, deployed

REPORT = RunReport(
    seen=0,
    linked=0,
    put=0,
    deleted=0,
    skipped={},
    failed=[],
    caught_up=0,
    behind=[],
    given_up=[],
    waiting=0,
    left=0,
    complete=True,
    policy_failure=None,
)


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack(INCLUDE="/ecs/*")
        for name in ("/ecs/a", "/ecs/b", "/other"):
            here.group(name)
        yield here


def keep(here: Deployment, name: str, days: int) -> None:
    here.aws.client("logs").put_retention_policy(logGroupName=name, retentionInDays=days)


def kept(here: Deployment) -> dict[str, int | None]:
    groups = here.aws.client("logs").describe_log_groups()["logGroups"]
    return {each["logGroupName"]: each.get("retentionInDays") for each in groups}


def objects(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return {each["log_group"]: each for each in json.loads(result.stdout)}


def test_link_sets_it_on_linked_log_groups_that_never_expire(here: Deployment) -> None:
    keep(here, "/ecs/b", 90)
    result = here.run("link", "--all", "--retention", "7d")
    assert result.exit_code == 0, result.output
    assert kept(here) == {"/ecs/a": 7, "/ecs/b": 90, "/other": None}
    assert "keep    /ecs/a  7 days\n" in result.stdout
    assert "keep    /ecs/b" not in result.stdout


def test_link_without_the_option_changes_no_retention(here: Deployment) -> None:
    assert objects(here.run("link", "--all", "--json"))["/ecs/a"]["retention"] is None
    assert set(kept(here).values()) == {None}


def test_log_groups_that_were_linked_before_get_it_too(here: Deployment) -> None:
    here.run("link", "--all")
    found = objects(here.run("link", "/ecs/a", "--retention", "30d", "--json"))
    assert found["/ecs/a"]["retention"] == "30 days"
    assert kept(here) == {"/ecs/a": 30, "/ecs/b": None, "/other": None}


def test_unlink_takes_back_what_link_set_and_nothing_else(here: Deployment) -> None:
    keep(here, "/ecs/b", 7)
    here.run("link", "--all", "--retention", "7d")
    result = here.run("unlink", "/ecs/a", "/ecs/b")
    assert "keep    /ecs/a  never expires\n" in result.stdout
    assert kept(here) == {"/ecs/a": None, "/ecs/b": 7, "/other": None}


def test_unlinking_everything_takes_it_back(here: Deployment) -> None:
    here.run("link", "--all", "--retention", "7d")
    found = objects(here.run("unlink", "--all", "--json"))
    assert {name: each["retention"] for name, each in found.items()} == {
        "/ecs/a": "never expires",
        "/ecs/b": "never expires",
        "/other": None,
    }
    assert set(kept(here).values()) == {None}


def test_a_log_group_that_is_selected_no_more_gets_it_back(here: Deployment) -> None:
    here.run("link", "--all", "--retention", "7d")
    here.make_stack_again(INCLUDE="/ecs/a")
    here.run("link", "--all")
    assert kept(here) == {"/ecs/a": 7, "/ecs/b": None, "/other": None}


def test_a_dry_run_shows_it_and_sets_nothing(here: Deployment) -> None:
    result = here.run("link", "--all", "--retention", "7d", "--dry-run")
    assert "keep    /ecs/a  7 days\n" in result.stdout
    found = objects(here.run("link", "--all", "--retention", "7d", "--dry-run", "--json"))
    assert {name: each["retention"] for name, each in found.items()} == {
        "/ecs/a": "7 days",
        "/ecs/b": "7 days",
        "/other": None,
    }
    assert set(kept(here).values()) == {None}


def test_log_groups_that_fail_are_named_and_end_the_command_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = [RetentionChange("/ecs/a", 7, "AccessDeniedException"), RetentionChange("/ecs/b", 7)]
    result = LinkResult([], REPORT, {}, {}, [], changes)
    with pytest.raises(NotDeliveredError, match=r"of 1 log group was not .*AccessDeniedException"):
        finish(result, as_json=False)
    assert "failed  /ecs/a  7 days: AccessDeniedException\n" in capsys.readouterr().out


@pytest.mark.parametrize("value", ["0d", "2d", "7", "1w", "4000d", "99999d"])
@pytest.mark.parametrize("command", [["plan"], ["link", "--all"]])
def test_a_value_that_cloudwatch_logs_does_not_take_is_refused(
    run: Run, command: list[str], value: str
) -> None:
    result = run(*command, "--retention", value)
    assert result.exit_code == 2
    words = " ".join(result.stderr.replace("│", " ").split())
    assert f"{value!r} is no retention that CloudWatch Logs takes: 1d, 3d, 5d, 7d," in words


def test_moto_takes_the_same_values_as_aws(here: Deployment) -> None:
    for days in RETENTION_DAYS:
        keep(here, "/other", days)
    assert kept(here)["/other"] == 3_653


def test_a_retention_needs_a_bucket_that_remembers_it(here: Deployment) -> None:
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper, Environment={"Variables": {"LOKI_URL": "http://loki:3100"}}
    )
    result = here.run("link", "/ecs/a", "--retention", "7d", "--function", here.shipper)
    assert result.exit_code == 2
    assert "--retention needs the bucket of a stack" in result.stderr
    assert here.linked == set()


def test_a_log_group_that_the_stack_has_unlinked_gets_it_back_with_the_next_command(
    here: Deployment,
) -> None:
    here.run("link", "--all", "--retention", "7d")
    logs = here.aws.client("logs")
    logs.delete_subscription_filter(logGroupName="/ecs/b", filterName=NAME)
    here.make_stack_again(INCLUDE="/ecs/a")
    result = here.run("link", "--all", "--fresh")
    assert "keep    /ecs/b  never expires\n" in result.stdout
    assert kept(here) == {"/ecs/a": 7, "/ecs/b": None, "/other": None}


def test_plan_shows_what_link_would_save_and_what_it_would_leave(here: Deployment) -> None:
    lines = ["x" * 1000] * 50
    here.aws.put_lines("/ecs/a", "s", lines)
    keep(here, "/ecs/b", 90)
    found = objects(here.run("plan", "--retention", "7d", "--json"))
    assert {name: (each["retention_days"], each["link_sets"]) for name, each in found.items()} == {
        "/ecs/a": (None, True),
        "/ecs/b": (90, False),
    }
    assert found["/ecs/a"]["stored_bytes"] > 0
    assert found["/ecs/a"]["saved_bytes"] == 0
    text = here.run("plan", "--retention", "7d").stdout
    assert (
        "1 log group without a retention: `link --retention 7d` saves at most $0.00 a month" in text
    )
    assert kept(here)["/ecs/a"] is None


def test_plan_names_the_log_groups_that_save_most_and_the_sums() -> None:
    groups = [LogGroup(f"/{n}", 0, stored_bytes=n * 10**12) for n in range(13)]
    groups.append(LogGroup("/own", 0, stored_bytes=10**12, retention_days=70))
    found = retention_savings(groups, 7, 700 * 86_400_000)
    lines = [line.plain for line in savings_text(found, 7)]
    assert lines[1].split() == ["/12", "never", "expires", "12,000.00", "356.40"]
    assert len(lines) == 1 + 10 + 3
    assert lines[11] == (
        "13 log groups without a retention: `link --retention 7d` saves at most $2,316.60 a month"
    )
    assert lines[12].startswith(
        "1 log group with a longer retention of their own: at most $27.00 a month"
    )


def test_plan_shows_the_savings_of_a_first_stack(run: Run, aws: LocalAws) -> None:
    aws.create_log_group("/aws/lambda/a", {})
    found = objects(run("plan", "--retention", "7d", "--json", **aws.environ))
    assert found["/aws/lambda/a"]["link_sets"]


def test_cost_and_retention_are_two_questions(here: Deployment) -> None:
    result = here.run("plan", "--cost", "--retention", "7d")
    assert result.exit_code == 2
    assert "give --cost or --retention, not both" in result.stderr
