import json
from typing import Any

import pytest

from loki_shipper.emf import FunctionLog

ONE = [("LinesRejected", "Count", 1)]


def said(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [*map(json.loads, capsys.readouterr().out.splitlines())]


def test_a_line_has_the_fields_and_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    log = FunctionLog("subscriber", "ours")
    log.write("linked", {"put": 2}, [*ONE, ("Lag", "Seconds", 0.5)], level="WARNING")
    [line] = said(capsys)
    about = line.pop("_aws")
    assert line == {
        "level": "WARNING",
        "message": "linked",
        "service": "subscriber",
        "stack": "ours",
        "put": 2,
        "LinesRejected": 1,
        "Lag": 0.5,
    }
    assert about["CloudWatchMetrics"] == [
        {
            "Namespace": "LokiShipper",
            "Dimensions": [["service", "stack"]],
            "Metrics": [
                {"Name": "LinesRejected", "Unit": "Count"},
                {"Name": "Lag", "Unit": "Seconds"},
            ],
        }
    ]


def test_metrics_have_the_time_of_the_line_in_ms(capsys: pytest.CaptureFixture[str]) -> None:
    FunctionLog("subscriber", None).write("linked", {}, ONE)
    [line] = said(capsys)
    assert 1_700_000_000_000 < line["_aws"]["Timestamp"] < 10_000_000_000_000


def test_each_stack_has_metrics_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    for stack in ("one", "other"):
        log = FunctionLog("loki-shipper", stack)
        for _ in range(2):  # as a sandbox does, invocation after invocation
            log.write("shipped", {}, ONE)
    assert [line["stack"] for line in said(capsys)] == ["one", "one", "other", "other"]


def test_a_function_without_a_stack_measures_by_service_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    FunctionLog("subscriber", None).write("linked", {}, ONE)
    [line] = said(capsys)
    assert line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]
    assert "stack" not in line


def test_a_line_below_the_level_has_metrics_only(capsys: pytest.CaptureFixture[str]) -> None:
    log = FunctionLog("loki-shipper", None, "WARNING")
    log.write("shipped", {"received": 1}, ONE)
    log.write("debugged", {}, level="DEBUG")
    [line] = said(capsys)
    assert {*line} == {"_aws", "service", "LinesRejected"}


def test_a_field_that_is_no_metric_is_not_declared_as_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    FunctionLog("loki-shipper", None).write("warned", {"why": "http"}, level="ERROR")
    assert said(capsys) == [
        {"level": "ERROR", "message": "warned", "service": "loki-shipper", "why": "http"}
    ]
