"""Each query of the dashboards finds what the sample events hold, on a real Loki."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from loki_shipper.local.find_loki import Running
from loki_shipper.local.invoke import invoke, loki_connection
from loki_shipper.local.loki import Loki
from loki_shipper.local.sample import retimed
from loki_shipper.model import Batch, Stream
from loki_shipper.settings import settings

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ("lambda.json", "lambda-json.json", "watchtower.json")
HOUR = 3_600_000_000_000

type Place = tuple[str, str]


DASHBOARD = json.loads(
    (ROOT / "compose" / "grafana" / "dashboards" / "log-groups.json").read_text("utf-8")
)
PANELS = DASHBOARD["panels"]
QUERIES = [
    pytest.param(target, id=panel["title"]) for panel in PANELS for target in panel["targets"]
]
VARIABLES = [
    pytest.param(variable["query"], id=variable["name"])
    for variable in DASHBOARD["templating"]["list"]
    if variable["type"] == "query"
]
BY_LEVEL, LINES = (
    next(p["targets"][0] for p in PANELS if (p["type"], p["title"]) == which)
    for which in (("timeseries", "Lines by level"), ("logs", "Lines"))
)


@pytest.fixture(scope="module")
def place(loki: Loki | Running) -> Place:
    """A tenant that holds the sample events, as of now, and a line that came late."""
    tenant = f"dashboards-{time.time_ns()}"
    configured = settings({"LOKI_URL": loki.url, "LOKI_TENANT": tenant})
    connection = loki_connection(configured)
    for name in EVENTS:
        event = retimed(
            json.loads((ROOT / "events" / name).read_text("utf-8")), time.time_ns() // 1_000_000
        )
        shipped = invoke(
            event, configured, tags={"team": "payments"}, region="eu-central-1", loki=connection
        )
        assert shipped.report.delivered == shipped.report.received - sum(
            shipped.report.dropped.values()
        )
    [pushed, *_] = shipped.pushes
    stream = pushed.batch.stream
    late = Stream(stream.tenant, tuple(sorted((*stream.labels, ("late", "true")))))
    connection.send(Batch(late, pushed.batch.entries[:1]), 10)
    return loki.url, tenant


def interpolated(expr: str, **chosen: str) -> str:
    """Do what Grafana does: intervals, and variables, which are all `All` unless chosen."""
    lists = DASHBOARD["templating"]["list"]
    values = {each["name"]: each.get("allValue", each.get("query", "")) for each in lists} | chosen
    values |= {"__auto": "1m", "__range": "1h"}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expr)


def result(place: Place, target: dict[str, Any], **chosen: str) -> list[Any]:
    url, tenant = place
    now = time.time_ns()
    query = {"query": interpolated(target["expr"], **chosen), "limit": "100"}
    if target["queryType"] == "instant":
        path, times = "query", {"time": str(now)}
    else:
        path, times = "query_range", {"start": str(now - HOUR), "end": str(now), "step": "60"}
    answer = requests.get(
        f"{url}/loki/api/v1/{path}",
        params=query | times,
        headers={"X-Scope-OrgID": tenant},
        timeout=30,
    )
    assert answer.ok, answer.text
    found: list[Any] = answer.json()["data"]["result"]
    return found


def is_nothing(found: list[Any]) -> bool:
    """Tell whether nothing was found; `or vector(0)` says so with a 0."""
    return not found or all(each.get("value", ["", "1"])[1] == "0" for each in found)


@pytest.mark.parametrize("target", QUERIES)
def test_a_panel_shows_what_loki_holds(place: Place, target: dict[str, Any]) -> None:
    assert not is_nothing(result(place, target))


@pytest.mark.parametrize("target", QUERIES)
def test_a_panel_follows_the_selected_service(place: Place, target: dict[str, Any]) -> None:
    assert is_nothing(result(place, target, service="nobody"))


@pytest.mark.parametrize("query", VARIABLES)
def test_a_variable_offers_values(place: Place, query: dict[str, Any]) -> None:
    url, tenant = place
    answer = requests.get(
        f"{url}/loki/api/v1/label/{query['label']}/values",
        params={"query": interpolated(query["stream"])},
        headers={"X-Scope-OrgID": tenant},
        timeout=30,
    )
    assert answer.ok, answer.text
    assert answer.json()["data"]


@pytest.mark.parametrize("level", ["error", "info", "warn"])
def test_levels_are_those_that_the_lines_have(place: Place, level: str) -> None:
    found = result(place, BY_LEVEL, level=level)
    assert {each["metric"]["detected_level"] for each in found} == {level}


def test_the_search_takes_quotes(place: Place) -> None:
    assert not is_nothing(result(place, LINES, search="KEYERROR: 'sku'"))
    assert is_nothing(result(place, LINES, search='no such "line"'))
