"""The dashboard "Is everything arriving?" finds what the drill leaves in a real Loki."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from loki_shipper.canary.lines import Arrived, Sent, encode_line
from loki_shipper.local.loki import Loki
from loki_shipper.local.sample import Call, invocation_event, log_data
from tests.drill.drill import EVERY, Drill
from tools.dashboards import FILE

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / FILE).read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [target for panel in PANELS for target in panel["targets"]]
OF_LOKI = [
    pytest.param(target, id=f"{panel['title']}, {target['legendFormat']}")
    for panel in PANELS
    for target in panel["targets"]
    if target["datasource"]["type"] == "loki"
]
METRICS = [target for target in TARGETS if target.get("namespace")]
STACK = "loki-shipper"
CANARY = f"/loki-shipper/{STACK}/canary"


@pytest.fixture(scope="module")
def drilled(stock_loki: Loki) -> tuple[str, str]:
    """The URL and a tenant of a Loki that was down for two hours, and has a canary's lines."""
    tenant = f"arrival-{time.time_ns()}"
    drill = Drill(stock_loki, tenant)
    for number in range(3):
        drill.cloud.at(drill.start + number * EVERY, lambda: write_canary(drill))
    drill.run()
    return stock_loki.url, tenant


def write_canary(drill: Drill) -> None:
    now = int(drill.cloud.now.timestamp() * 1000)
    lines = [(now, encode_line(Sent(str(now)))), (now + 1, encode_line(Arrived(str(now), 2.5)))]
    drill.cloud.invoke(invocation_event(log_data(CANARY, "canary", [Call(now, lines)])))


def asked(place: tuple[str, str], target: dict[str, Any]) -> list[Any]:
    url, tenant = place
    now = time.time_ns()
    values = {"stack": STACK, "__auto": "5m", "__range": "3h"}
    query = {"query": re.sub(r"\$(\w+)", lambda match: values[match[1]], target["expr"])}
    if target["queryType"] == "instant":
        path, times = "query", {"time": str(now)}
    else:
        path = "query_range"
        times = {"start": str(now - 3 * 3_600_000_000_000), "end": str(now), "step": "300"}
    answer = requests.get(
        f"{url}/loki/api/v1/{path}",
        params=query | times,
        headers={"X-Scope-OrgID": tenant},
        timeout=30,
    )
    assert answer.ok, answer.text
    found: list[Any] = answer.json()["data"]["result"]
    return found


@pytest.mark.parametrize("target", OF_LOKI)
def test_a_panel_shows_what_loki_holds(drilled: tuple[str, str], target: dict[str, Any]) -> None:
    found = asked(drilled, target)
    assert found
    labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
    assert all(labels <= each["metric"].keys() for each in found)


def test_the_seconds_of_the_canary_are_those_in_its_lines(drilled: tuple[str, str]) -> None:
    [target] = [each.values[0] for each in OF_LOKI if "seconds" in str(each.id)]
    assert isinstance(target, dict)
    [series] = asked(drilled, target)
    assert {value for _, value in series["values"]} == {"2.5"}


def test_it_asks_first_whether_lines_arrive_then_who_sends_then_what_is_refused() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Is everything arriving?", "Who sends how much?", "What is refused, and why?"]
    assert DASHBOARD["panels"][0]["type"] == "row"
    first, *_ = PANELS
    assert first["targets"][0]["metricName"] == "EndToEndSeconds"


def test_every_metric_that_it_queries_is_measured(measured: set[tuple[str, str, str]]) -> None:
    wanted = {
        (each["namespace"], each["dimensions"]["service"], each["metricName"]) for each in METRICS
    }
    assert wanted <= measured
    assert {each["dimensions"]["stack"] for each in METRICS} == {"$stack"}
    assert {name for *_, name in wanted} >= {
        *("CanaryLinesMissing", "LinesMissing", "LinesRejected", "OldestAge"),
    }


def test_its_queries_of_filters_are_those_of_the_alarms() -> None:
    template = (ROOT / "template.yaml").read_text("utf-8")
    queries = [each["sqlExpression"] for each in TARGETS if "sqlExpression" in each]
    assert len(queries) == 3
    for query in queries:
        assert query.replace("$stack", "${AWS::StackName}") in template.replace('\\"', '"')


def test_its_log_query_reads_the_shippers_log_group() -> None:
    [logs] = [target for target in TARGETS if target.get("queryMode") == "Logs"]
    [group] = logs["logGroupNames"]
    template = (ROOT / "template.yaml").read_text("utf-8")
    assert group.replace("$stack", "${AWS::StackName}") in template


def test_the_file_is_up_to_date(tmp_path: Path) -> None:
    subprocess.run([str(ROOT / "scripts/dashboards"), str(tmp_path)], check=True)
    assert (tmp_path / FILE).read_text() == (ROOT / FILE).read_text(), "run scripts/dashboards"


def test_no_panel_covers_another() -> None:
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len({*cells})
    assert max(x for x, _ in cells) < 24


def test_a_metric_of_once_a_day_has_a_time_of_its_own() -> None:
    of_audit = {panel["title"]: panel.get("timeFrom") for panel in PANELS}
    assert of_audit["Audit: lines missing"] == of_audit["Audit: log groups"] == "2d"
    assert of_audit["Canary: lines missing in Loki"] is None
