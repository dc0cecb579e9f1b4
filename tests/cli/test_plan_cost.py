"""`plan --cost` works out what shipping costs from the metrics and lines of a real account."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import Result

from loki_shipper.cli.plan_cost import inputs_of_new_stack, read_costs
from loki_shipper.deployment.cost import ShipperSize, shipping_cost
from loki_shipper.deployment.volumes import Volume
from loki_shipper.local.aws import LocalAws
from loki_shipper.shipper.rules.parse import parse_rules
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.settings import settings
from tests.cli.conftest import Run
from tests.local_deployment import Deployment, Skipping, deployed
from tests.metrics import put_metric

CHECKOUT = "/aws/lambda/checkout"
REQUEST = "5c0d9d52-3b1e-4a86-9f2c-0c6f5d1b7e11"
OF_LAMBDA = [f"START RequestId: {REQUEST} Version: 1", f"END RequestId: {REQUEST}"]


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack(INCLUDE="/aws/lambda/*,/ecs/*", EXCLUDE="/ecs/no")
        yield here


def received(aws: LocalAws, group: str, lines: float, size: float = 200) -> None:
    """Let a log group have received so many lines in 14 days."""
    cloudwatch, when = aws.client("cloudwatch"), datetime.now(UTC) - timedelta(days=3)
    of = {"LogGroupName": group}
    put_metric(cloudwatch, "AWS/Logs", "IncomingLogEvents", of, lines, when)
    put_metric(cloudwatch, "AWS/Logs", "IncomingBytes", of, lines * size, when)


def objects(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return {each["log_group"]: each for each in json.loads(result.stdout)}


def test_the_cost_of_each_selected_log_group_is_shown_the_dearest_first(here: Deployment) -> None:
    for number in range(12):
        here.group(f"/ecs/{number:02}")
        received(here.aws, f"/ecs/{number:02}", 14e6 * (number + 1))
    here.group("/ecs/no")
    received(here.aws, "/ecs/no", 1e12)
    result = here.run("plan", "--cost")
    assert result.exit_code == 0, result.output
    title, *rows = result.stdout.splitlines()
    assert title.split("  ")[0] == "log group"
    assert [row.split()[0] for row in rows[:10]] == [f"/ecs/{n:02}" for n in range(11, 1, -1)]
    assert rows[0].split()[1:4] == ["12,000,000", "2.4", "GB"]
    assert rows[10].startswith("2 more ")
    assert rows[11].startswith("all 12 log groups ")
    assert rows[11].split()[4] == "78,000,000"
    assert "/ecs/no" not in result.stdout
    [more, total] = (float(row.split()[-1]) for row in rows[10:12])
    cost = shipping_cost(Volume(14e6 * 200 * 78, 14e6 * 78), ShipperSize("x86_64", 128))
    assert total == pytest.approx(cost.total, abs=0.01)
    assert more == pytest.approx(cost.total * 3 / 78, abs=0.01)


def test_the_price_of_the_run_is_told_before_it_is_made(here: Deployment) -> None:
    here.group("/ecs/a")
    here.group("/ecs/b")
    result = here.run("plan", "--cost")
    # Two of each log group, the lines of the stack, and the invocations of its shipper.
    costs = "reading 6 metrics of CloudWatch costs less than $0.01; lines of "
    assert result.stderr.startswith(costs)


def test_reading_thousands_of_log_groups_costs_cents(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Nothing:
        """A CloudWatch without points, and lines of no log group."""

        def get_metric_data(self, **_: Any) -> dict[str, Any]:
            return {"MetricDataResults": []}

        def filter_log_events(self, **_: Any) -> dict[str, Any]:
            return {"events": []}

    class Session:
        def client(self, _: str) -> Nothing:
            return Nothing()

    shipper = "arn:aws:lambda:eu-west-1:123456789012:function:s"
    inputs = inputs_of_new_stack(
        Session(),  # type: ignore[arg-type] # two calls are enough
        Skipping().clock,
        settings({"SHIPPER_ARN": shipper, "OWN_LOG_GROUPS": "/own", "BUCKET": "b"}),
    )
    report = read_costs([LogGroup(f"/{n}", 0) for n in range(13_000)], inputs)
    assert len(report.groups) == 13_000
    told = capsys.readouterr().err
    assert told.startswith("reading 26,000 metrics of CloudWatch costs $0.26; lines ")


def test_json_has_the_same_figures(here: Deployment) -> None:
    here.group("/ecs/a")
    received(here.aws, "/ecs/a", 14e6)
    found = objects(here.run("plan", "--cost", "--json"))["/ecs/a"]
    cost = shipping_cost(Volume(14e6 * 200, 14e6), ShipperSize("x86_64", 128))
    assert found == {
        "log_group": "/ecs/a",
        "pattern": "",
        "lines_a_day": 1_000_000,
        "bytes_a_day": 200_000_000,
        "loki_bytes_a_day": None,
        "streams_a_day": 1,
        "lambda_dollars": round(cost.functions, 4),
        "own_log_dollars": round(cost.own_log, 4),
        "transfer_dollars": round(cost.transfer, 4),
        "dollars": round(cost.total, 4),
        "savings": None,
    }


def test_log_events_of_an_invocation_are_those_of_the_stack(here: Deployment) -> None:
    here.group("/ecs/a")
    received(here.aws, "/ecs/a", 14e6)
    assumed = objects(here.run("plan", "--cost", "--json"))["/ecs/a"]
    assert "An invocation has 100 log events: an assumption." in here.run("plan", "--cost").stdout
    cloudwatch, when = here.aws.client("cloudwatch"), datetime.now(UTC) - timedelta(days=1)
    function = here.shipper.rpartition(":")[2]
    own = {"service": "loki-shipper", "stack": "loki-shipper"}
    put_metric(cloudwatch, "LokiShipper", "LinesReceived", own, 2e6, when)
    put_metric(cloudwatch, "AWS/Lambda", "Invocations", {"FunctionName": function}, 1e5, when)
    here.make_stack_again(INCLUDE="/ecs/*", STACK="loki-shipper")
    measured = objects(here.run("plan", "--cost", "--json"))["/ecs/a"]
    assert measured["lambda_dollars"] > 4 * assumed["lambda_dollars"]
    text = here.run("plan", "--cost").stdout
    assert "An invocation has 20 log events: as in the last 14 days." in text


def test_the_lines_of_the_last_hour_tell_what_rules_would_save(here: Deployment) -> None:
    here.group(CHECKOUT)
    received(here.aws, CHECKOUT, 14e6)
    noise = [*OF_LAMBDA * 5, *["[DEBUG]\tx\ty\tcache hit"] * 4, *["GET /healthz 200"] * 2]
    here.aws.put_lines(CHECKOUT, "s", [*noise, *[f"order {number}" for number in range(4)]])
    row = objects(here.run("plan", "--cost", "--json"))[CHECKOUT]
    assert row["loki_bytes_a_day"] > row["bytes_a_day"]
    by_what = {each["what"]: each for each in row["savings"]}
    assert {what: each["lines_percent"] for what, each in by_what.items()} == {
        "the lines of Lambda itself (START, END, REPORT)": 50,
        "debug lines": 20,
        "health checks": 10,
        "nine of ten requests, without their errors": by_what[
            "nine of ten requests, without their errors"
        ]["lines_percent"],
    }
    platform = by_what["the lines of Lambda itself (START, END, REPORT)"]
    assert platform["bytes_percent"] > 60
    assert platform["rule_dollars"] == pytest.approx(
        row["transfer_dollars"] * platform["bytes_percent"] / 100, rel=0.02
    )
    assert platform["pattern_dollars"] == pytest.approx(
        platform["rule_dollars"] + 0.5 * (row["lambda_dollars"] + row["own_log_dollars"]), rel=0.02
    )
    assert by_what["nine of ten requests, without their errors"]["pattern_dollars"] is None
    for each in row["savings"]:
        [*rules] = parse_rules(each["rule"]).of(CHECKOUT)
        assert rules
        assert parse_rules(each["rule"]).of("/aws/lambda/other") == ()
    text = here.run("plan", "--cost").stdout
    assert f"{CHECKOUT}: debug lines are 20 % of the lines and " in text


def test_rules_in_force_leave_nothing_more_to_save(here: Deployment) -> None:
    here.group(CHECKOUT)
    received(here.aws, CHECKOUT, 14e6)
    here.aws.put_lines(CHECKOUT, "s", OF_LAMBDA * 5)
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper,
        Environment={"Variables": {"LOKI_URL": "http://loki:3100", "RULES": "none"}},
    )
    assert len(objects(here.run("plan", "--cost", "--json"))[CHECKOUT]["savings"]) > 0
    rules = here.aws.client("s3")
    rules.put_object(
        Bucket=here.bucket, Key="r", Body=b"[[rule]]\npreset = 'lambda'\nplatform = 'drop'\n"
    )
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper,
        Environment={
            "Variables": {"LOKI_URL": "http://loki:3100", "RULES": f"s3://{here.bucket}/r"}
        },
    )
    row = objects(here.run("plan", "--cost", "--json"))[CHECKOUT]
    assert (row["savings"], row["loki_bytes_a_day"]) == ([], 0)


def test_streams_are_predicted_where_lines_were_read(here: Deployment) -> None:
    here.group("/ecs/a")
    here.group("/ecs/b")
    received(here.aws, "/ecs/a", 14e6)
    here.aws.put_lines("/ecs/a", "s", [f'{{"pod": "{number}"}}' for number in range(3)])
    here.aws.client("s3").put_object(
        Bucket=here.bucket, Key="r", Body=b"[[rule]]\nlabel = {pod = 'pod'}\nat_most = 5\n"
    )
    here.aws.client("lambda").update_function_configuration(
        FunctionName=here.shipper,
        Environment={
            "Variables": {"LOKI_URL": "http://loki:3100", "RULES": f"s3://{here.bucket}/r"}
        },
    )
    rows = objects(here.run("plan", "--cost", "--json"))
    assert (rows["/ecs/a"]["streams_a_day"], rows["/ecs/b"]["streams_a_day"]) == (3, None)


def test_a_filter_pattern_is_named_because_its_share_is_not_known(here: Deployment) -> None:
    here.make_stack_again(INCLUDE="/ecs/*", FILTER_PATTERN="ERROR")
    here.group("/ecs/a")
    result = here.run("plan", "--cost")
    assert "The filter patterns of 1 log group do not count" in result.stdout
    assert objects(here.run("plan", "--cost", "--json"))["/ecs/a"]["pattern"] == "ERROR"


def test_before_a_deployment_it_shows_what_a_first_stack_would_cost(
    run: Run, aws: LocalAws
) -> None:
    aws.create_log_group(CHECKOUT, {})
    received(aws, CHECKOUT, 14e6)
    found = objects(run("plan", "--cost", "--json", **aws.environ))[CHECKOUT]
    cost = shipping_cost(Volume(14e6 * 200, 14e6), ShipperSize())
    assert found["dollars"] == round(cost.total, 4)
    assert "reading 2 metrics" in run("plan", "--cost", **aws.environ).stderr


def test_a_member_shows_the_cost_with_the_default_settings_of_its_hub(here: Deployment) -> None:
    here.group("/ecs/a")
    received(here.aws, "/ecs/a", 14e6)
    destination = "arn:aws:logs:eu-west-1:111111111111:destination:hub"
    here.make_stack_again(
        INCLUDE="/ecs/*",
        SHIPPER_ARN="",
        ACCOUNT="123456789012",
        DESTINATION_ARN=destination,
        HUB_BUCKET="hub",
    )
    found = objects(here.run("plan", "--cost", "--json"))["/ecs/a"]
    cost = shipping_cost(Volume(14e6 * 200, 14e6), ShipperSize())
    assert found["dollars"] == round(cost.total, 4)
