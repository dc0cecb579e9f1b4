"""Alarms and the dashboard use metrics that the functions and AWS write, by their names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OF_LAMBDA = {
    "AsyncEventAge",
    "AsyncEventsDropped",
    "ConcurrentExecutions",
    "DestinationDeliveryFailures",
    "Duration",
    "Errors",
    "Invocations",
    "IteratorAge",
    "Throttles",
}
"""By AWS's own list: by `FunctionName`, which counts all aliases and versions."""

OF_FILTERS = {"DeliveryErrors", "DeliveryThrottling", "ForwardedLogEvents"}
"""CloudWatch Logs has them by LogGroupName, DestinationType and FilterName only."""

OF_QUEUES = {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"}
QUEUES = {
    f"${{{name}.QueueName}}"
    for name in ("ChangesQueue", "DeadChangesQueue", "LogFilesQueue", "LogFilesDeadLetters")
}

type Metric = tuple[str, str]


def alarms(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


@pytest.fixture
def widgets(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the widgets of a stack that reads a Kinesis stream and has a canary."""
    body, variables = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    conditions = {"KinesisWidget": "ReadsKinesis", "CanaryWidget": "HasCanary"}
    conditions["LogFilesWidget"] = "ShipsLogFiles"
    assert variables.keys() == conditions.keys()
    bare = whole_body = body
    for name, wanted in conditions.items():
        condition, then, otherwise = variables[name]["Fn::If"]
        assert (condition, otherwise) == (wanted, "")
        whole_body = whole_body.replace(f"${{{name}}}", then["Fn::Sub"])
        bare = bare.replace(f"${{{name}}}", "")
    assert json.loads(bare)
    whole = json.loads(whole_body)
    return [widget["properties"] for widget in whole["widgets"]]


@pytest.fixture
def measured(measured: set[tuple[str, str, str]]) -> set[Metric]:
    """Service and name of each metric of our functions."""
    return {(service, name) for space, service, name in measured if space == "LokiShipper"}


def test_without_a_topic_there_are_no_alarms_and_with_one_it_gets_all(
    template: dict[str, Any],
) -> None:
    topic = [{"Ref": "AlarmTopicArn"}]
    assert template["Parameters"]["AlarmTopicArn"]["Default"] == ""
    assert alarms(template)
    for alarm in alarms(template).values():
        of = {"AlarmsOfShipper", "AlarmsOfRedriver", "AlarmsOfKinesis", "AlarmsOfCanary"}
        of.add("AlarmsOfLogFiles")
        assert alarm["Condition"] in {"Alarms", *of}
        assert alarm["Properties"]["AlarmActions"] == topic
        assert alarm["Properties"]["OKActions"] == topic
    for name, condition in template["Conditions"].items():
        if name.startswith("AlarmsOf"):
            assert {"Condition": "Alarms"} in condition["Fn::And"]


def test_an_alarm_has_a_description_and_treats_missing_data(
    template: dict[str, Any],
) -> None:
    for alarm in alarms(template).values():
        assert "docs/operating.md" in alarm["Properties"]["AlarmDescription"]
        treated = alarm["Properties"]["TreatMissingData"]
        assert treated in {"notBreaching", "breaching", "ignore", "missing"}
        # A state that nobody hears of would hide that nothing is measured.
        assert (treated == "missing") == ("InsufficientDataActions" in alarm["Properties"])


def test_every_alarm_watches_a_metric_that_exists(
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
            case {"Namespace": "LokiShipper", "MetricName": name, "Dimensions": [service, stack]}:
                assert service["Name"] == "service"
                assert (service["Value"], name) in measured
                assert stack == {"Name": "stack", "Value": {"Ref": "AWS::StackName"}}
            case {"Namespace": "AWS/SQS", "MetricName": name, "Dimensions": [dimension]}:
                assert name in OF_QUEUES
                queue, attribute = dimension["Value"]["Fn::GetAtt"]
                assert template["Resources"][queue]["Type"] == "AWS::SQS::Queue"
                assert (dimension["Name"], attribute) == ("QueueName", "QueueName")
            case other:
                pytest.fail(f"nobody measures {other}")


def test_every_alarm_lasts_no_longer_than_cloudwatch_looks_back(template: dict[str, Any]) -> None:
    for alarm in alarms(template).values():
        watched = alarm["Properties"]
        period = watched.get("Period") or watched["Metrics"][0]["Period"]
        assert period * watched["EvaluationPeriods"] <= 24 * 3600


def test_the_dashboard_shows_metrics_that_exist(
    widgets: list[dict[str, Any]], measured: set[Metric]
) -> None:
    shown = [metric for widget in widgets for metric in widget["metrics"]]
    for metric in shown:
        match metric:
            case ["LokiShipper", name, "service", service, "stack", stack, {"stat": _}]:
                assert (service, name) in measured
                assert stack == "${AWS::StackName}"
            case ["AWS/Lambda", name, "FunctionName", function, {"stat": _}]:
                assert name in OF_LAMBDA
                assert function in {"${ShipperFunction}", "${KinesisFunction}"}
            case ["AWS/SQS", name, "QueueName", queue, {"stat": _}]:
                assert name in OF_QUEUES
                assert queue in QUEUES
            case [{"expression": query}]:
                assert metric_of(query) in OF_FILTERS
            case other:
                pytest.fail(f"nobody measures {other}")


def test_the_dashboard_shows_the_metric_of_every_alarm(
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
