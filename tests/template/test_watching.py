"""Alarms and the dashboard look at what is really measured, under its real names."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.local.receiver import Receiver
from loki_shipper.redriver.metrics import metrics as redriver_metrics
from loki_shipper.redriver.redrive import Redriven
from loki_shipper.settings import settings
from loki_shipper.shipper.sandbox import Sandbox
from loki_shipper.subscriber.metrics import metrics as subscriber_metrics
from loki_shipper.subscriber.tally import Report as Linked

ROOT = Path(__file__).parents[2]
SWEEP = Linked(
    seen=2,
    linked=1,
    put=1,
    deleted=0,
    skipped={},
    failed=[],
    caught_up=0,
    behind=[],
    left=0,
    whole=True,
)
OF_LAMBDA = {
    "AsyncEventAge",
    "AsyncEventsDropped",
    "ConcurrentExecutions",
    "DestinationDeliveryFailures",
    "Duration",
    "Errors",
    "Invocations",
    "Throttles",
}
"""By AWS's own list: by `FunctionName`, which counts all aliases and versions."""

OF_FILTERS = {"DeliveryErrors", "DeliveryThrottling", "ForwardedLogEvents"}
"""CloudWatch Logs has them by LogGroupName, DestinationType and FilterName only."""

type Metric = tuple[str, str]


def alarms(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


@pytest.fixture
def widgets(template: dict[str, Any]) -> list[dict[str, Any]]:
    body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    return [widget["properties"] for widget in json.loads(body)["widgets"]]


@pytest.fixture
def measured(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> set[Metric]:
    """Service and name of each metric of our functions."""
    sandbox = Sandbox(settings({"LOKI_URL": receiver.url, "TAG_LABELS": "none"}), "")
    sandbox.ship(json.loads((ROOT / "events/lambda.json").read_text("utf-8")), lambda: 10.0)
    own = {
        (record["service"], metric["Name"])
        for record in map(json.loads, capsys.readouterr().out.splitlines())
        if "_aws" in record
        for directive in record["_aws"]["CloudWatchMetrics"]
        if (directive["Namespace"], directive["Dimensions"]) == ("LokiShipper", [["service"]])
        for metric in directive["Metrics"]
    }
    redriven = redriver_metrics(Redriven(), now=datetime.now(UTC))
    return (
        own
        | {("loki-shipper", name) for name, *_ in redriven}
        | {("subscriber", name) for name, *_ in subscriber_metrics(SWEEP)}
    )


def test_without_a_topic_there_are_no_alarms_and_with_one_it_hears_of_all(
    template: dict[str, Any],
) -> None:
    topic = [{"Ref": "AlarmTopicArn"}]
    assert template["Parameters"]["AlarmTopicArn"]["Default"] == ""
    assert alarms(template)
    for alarm in alarms(template).values():
        assert alarm["Condition"] in {"Alarms", "AlarmsOfRedriver", "AlarmsOfSubscriber"}
        assert alarm["Properties"]["AlarmActions"] == topic
        assert alarm["Properties"]["OKActions"] == topic
    for name, condition in template["Conditions"].items():
        if name.startswith("AlarmsOf"):
            assert {"Condition": "Alarms"} in condition["Fn::And"]


def test_an_alarm_says_what_it_means_and_decides_what_silence_means(
    template: dict[str, Any],
) -> None:
    for alarm in alarms(template).values():
        assert "docs/operating.md" in alarm["Properties"]["AlarmDescription"]
        assert alarm["Properties"]["TreatMissingData"] in {"notBreaching", "breaching", "ignore"}


def test_every_alarm_watches_a_metric_that_there_is(
    template: dict[str, Any], measured: set[Metric]
) -> None:
    for alarm in alarms(template).values():
        match alarm["Properties"]:
            case {"Metrics": [{"Expression": {"Fn::Sub": query}}]}:
                assert metric_of(query) in OF_FILTERS
            case {"Namespace": "AWS/Lambda", "MetricName": name, "Dimensions": [dimension]}:
                assert name in OF_LAMBDA
                function = template["Resources"][dimension["Value"]["Ref"]]
                assert dimension["Name"] == "FunctionName"
                assert function["Type"] == "AWS::Serverless::Function"
            case {"Namespace": "LokiShipper", "MetricName": name, "Dimensions": [dimension]}:
                assert dimension["Name"] == "service"
                assert (dimension["Value"], name) in measured
            case other:
                pytest.fail(f"nobody measures {other}")


def test_every_alarm_lasts_no_longer_than_cloudwatch_looks_back(template: dict[str, Any]) -> None:
    for alarm in alarms(template).values():
        watched = alarm["Properties"]
        period = watched.get("Period") or watched["Metrics"][0]["Period"]
        assert period * watched["EvaluationPeriods"] <= 24 * 3600


def test_the_dashboard_shows_metrics_that_there_are(
    widgets: list[dict[str, Any]], measured: set[Metric]
) -> None:
    shown = [metric for widget in widgets for metric in widget["metrics"]]
    for metric in shown:
        match metric:
            case ["LokiShipper", name, "service", service, {"stat": _}]:
                assert (service, name) in measured
            case ["AWS/Lambda", name, "FunctionName", "${ShipperFunction}", {"stat": _}]:
                assert name in OF_LAMBDA
            case [{"expression": query}]:
                assert metric_of(query) in OF_FILTERS
            case other:
                pytest.fail(f"nobody measures {other}")


def test_the_dashboard_shows_whatever_wakes_somebody(
    template: dict[str, Any], widgets: list[dict[str, Any]]
) -> None:
    shown = {
        metric[1] if len(metric) > 1 else metric_of(metric[0]["expression"])
        for widget in widgets
        for metric in widget["metrics"]
    }
    watched = {
        alarm["Properties"].get("MetricName")
        or metric_of(alarm["Properties"]["Metrics"][0]["Expression"]["Fn::Sub"])
        for alarm in alarms(template).values()
    }
    assert watched <= shown


def metric_of(query: str) -> str:
    """Name the metric of all filters that have the stack's name, as the subscriber gives it."""
    form = r"""SELECT SUM\((\w+)\) FROM "AWS/Logs" WHERE FilterName = '\$\{AWS::StackName\}'"""
    found = re.fullmatch(form, query)
    assert found, query
    return found[1]
