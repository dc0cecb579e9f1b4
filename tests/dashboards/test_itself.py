"""The dashboard "Loki-Shipper itself" asks CloudWatch for what the functions really measure."""

import json
import re
from pathlib import Path

from msgspec import structs

from loki_shipper.shipper.delivery.outcome import Report

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads(
    (ROOT / "compose" / "grafana" / "dashboards" / "loki-shipper.json").read_text("utf-8")
)
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
METRICS = [target for target in TARGETS if target["queryMode"] == "Metrics"]


def test_every_metric_that_it_queries_is_measured(measured: set[tuple[str, str, str]]) -> None:
    asked = {
        (each["namespace"], each["dimensions"]["service"], each["metricName"]) for each in METRICS
    }
    assert asked <= measured
    assert {each["dimensions"]["stack"] for each in METRICS} == {"$stack"}
    assert {name for *_, name in asked} >= {"LinesDelivered", "LinesLate", "LinesRejected", "Lag"}


def test_its_log_query_reads_the_shippers_log_group_and_fields() -> None:
    [logs] = [target for target in TARGETS if target["queryMode"] == "Logs"]
    [group] = logs["logGroupNames"]
    assert group.replace("$stack", "${AWS::StackName}") in (ROOT / "template.yaml").read_text()
    fields = re.findall(r"[\w@]+", logs["expression"].partition("|")[0])[1:]
    known = {*structs.asdict(Report()), "@timestamp", "level", "message"}
    assert set(fields) <= known


def test_its_time_series_show_a_sum_for_counts_only() -> None:
    assert {each["metricName"] for each in METRICS if each["statistic"] != "Sum"} == {
        "Lag",
        "OldestAge",
        "LogGroupsSeen",
        "LogGroupsLinked",
        "LogGroupsLeft",
    }
