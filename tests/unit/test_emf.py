import json

import pytest

from loki_shipper.emf import function_metrics


def test_each_stack_measures_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for stack in ("one", "other"):
        measured = function_metrics("loki-shipper", stack)
        for _ in range(2):  # as a sandbox does, invocation after invocation
            measured.add_metric(name="LinesRejected", unit="Count", value=1)
            measured.flush_metrics()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["stack"] for record in told] == ["one", "one", "other", "other"]
    for record in told:
        [directive] = record["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "LokiShipper"
        [dimensions] = directive["Dimensions"]
        assert sorted(dimensions) == ["service", "stack"]


def test_a_function_without_a_stack_measures_by_service_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured = function_metrics("subscriber", None)
    measured.add_metric(name="LinkErrors", unit="Count", value=1)
    measured.flush_metrics()
    [record] = map(json.loads, capsys.readouterr().out.splitlines())
    assert record["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["service"]]
    assert record["service"] == "subscriber"
