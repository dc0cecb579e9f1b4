"""The dashboard "Loki-Shipper itself" asks CloudWatch for what the functions really measure."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from loki_shipper.local.receiver import Receiver
from loki_shipper.redriver.metrics import metrics as redriver_metrics
from loki_shipper.redriver.redrive import Redriven
from loki_shipper.settings import settings
from loki_shipper.shipper.outcome import Report
from loki_shipper.shipper.sandbox import Sandbox
from loki_shipper.subscriber.metrics import metrics as subscriber_metrics
from loki_shipper.subscriber.tally import Report as Linked

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads(
    (ROOT / "compose" / "grafana" / "dashboards" / "loki-shipper.json").read_text("utf-8")
)
TARGETS = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
METRICS = [target for target in TARGETS if target["queryMode"] == "Metrics"]
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


@pytest.fixture
def measured(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> set[tuple[str, str, str]]:
    """Namespace, service and name of each metric of the three functions."""
    sandbox = Sandbox(settings({"LOKI_URL": receiver.url, "TAG_LABELS": "none"}), "")
    sandbox.ship(json.loads((ROOT / "events" / "lambda.json").read_text("utf-8")), lambda: 10.0)
    own = {
        (directive["Namespace"], record["service"], metric["Name"])
        for record in records(capsys.readouterr().out)
        for directive in record["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
        if directive["Dimensions"] == [["service"]]
    }
    redriven = redriver_metrics(Redriven(ended="done"), now=datetime.now(UTC))
    linked = subscriber_metrics(SWEEP)
    return (
        own
        | {("LokiShipper", "loki-shipper", name) for name, *_ in redriven}
        | {("LokiShipper", "subscriber", name) for name, *_ in linked}
    )


def records(out: str) -> Iterator[dict[str, Any]]:
    """Read the EMF records of what a function printed."""
    for line in out.splitlines():
        record = json.loads(line)
        if "_aws" in record:
            yield record


def test_every_metric_that_it_asks_for_is_measured(measured: set[tuple[str, str, str]]) -> None:
    asked = {
        (each["namespace"], each["dimensions"]["service"], each["metricName"]) for each in METRICS
    }
    assert asked <= measured
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
