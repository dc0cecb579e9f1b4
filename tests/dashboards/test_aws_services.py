"""Each query of the dashboard "AWS services" finds lines of the sample events, on a real Loki."""

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
from loki_shipper.local.sample import invocation_event, retimed
from loki_shipper.model import LogData
from loki_shipper.settings import settings
from loki_shipper.shipper.rules.aws_presets import AWS_PRESETS
from loki_shipper.shipper.rules.parse import default_rules
from loki_shipper.shipper.rules.presets import LOG_FILE_PRESETS
from loki_shipper.shipper.sources.event import records
from tests.sample_events import LOG_GROUP_EVENTS
from tests.shipper.log_files.samples import SAMPLES

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600_000_000_000
DASHBOARD = json.loads(
    (ROOT / "compose" / "grafana" / "dashboards" / "aws-services.json").read_text("utf-8")
)
PANELS = [
    pytest.param(target["expr"], id=panel["title"])
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]

type Tenant = tuple[str, str]
"""The URL of a Loki, and a tenant."""


def is_of_aws_service(event: Any) -> bool:
    found = records(event)
    names = {rule.name for data in found for rule in default_rules().of(data.log_group)}
    return bool(names & AWS_PRESETS.keys())


def events_of_log_groups() -> list[Any]:
    found = [json.loads(path.read_text("utf-8")) for path in LOG_GROUP_EVENTS.values()]
    return [event for event in found if is_of_aws_service(event)]


def events_of_log_files() -> list[Any]:
    return [
        invocation_event(
            LogData(
                "DATA_MESSAGE",
                "123456789012",
                f"s3://my-logs/{sample.type}",
                sample.found.key,
                sample.events(),
                log_file=sample.reader().log_file,
            )
        )
        for sample in SAMPLES.values()
    ]


def shipped(loki: Loki | Running, events: list[Any], **variables: str) -> Tenant:
    """Return a new tenant that holds sample events, as of now."""
    name = f"aws-services-{time.time_ns()}"
    configured = settings({"LOKI_URL": loki.url, "LOKI_TENANT": name, **variables})
    connection = loki_connection(configured)
    for event in events:
        now = retimed(event, time.time_ns() // 1_000_000)
        report = invoke(now, configured, tags={}, region="eu-central-1", loki=connection).report
        assert report.delivered == report.received
    return loki.url, name


@pytest.fixture(scope="module")
def tenant(loki: Loki | Running) -> Tenant:
    return shipped(loki, [*events_of_log_groups(), *events_of_log_files()])


@pytest.fixture(scope="module")
def log_groups(loki: Loki | Running) -> Tenant:
    return shipped(loki, events_of_log_groups())


@pytest.fixture(scope="module")
def log_files(loki: Loki | Running) -> Tenant:
    return shipped(loki, events_of_log_files())


@pytest.fixture(scope="module")
def without_presets(loki: Loki | Running) -> Tenant:
    return shipped(loki, events_of_log_groups(), RULES="none")


def found(tenant: Tenant, expr: str, service: str = ".*") -> list[Any]:
    url, name = tenant
    values = {"account": ".*", "region": ".*", "service": service, "__auto": "1m"}
    now = time.time_ns()
    query = re.sub(r"\$(\w+)", lambda match: values[match[1]], expr)
    answer = requests.get(
        f"{url}/loki/api/v1/query_range",
        params={"query": query, "start": str(now - HOUR), "end": str(now), "step": "60"},
        headers={"X-Scope-OrgID": name},
        timeout=30,
    )
    assert answer.ok, answer.text
    result: list[Any] = answer.json()["data"]["result"]
    return result


@pytest.mark.parametrize("expr", PANELS)
def test_a_panel_shows_what_loki_holds(tenant: Tenant, expr: str) -> None:
    assert found(tenant, expr)


@pytest.mark.parametrize("expr", [each for each in PANELS if "log_group" in str(each.values[0])])
def test_a_panel_shows_log_groups_where_no_log_files_are(log_groups: Tenant, expr: str) -> None:
    assert found(log_groups, expr)


@pytest.mark.parametrize("expr", [each for each in PANELS if "log_type" in str(each.values[0])])
def test_a_panel_shows_log_files_where_no_log_groups_are(log_files: Tenant, expr: str) -> None:
    assert found(log_files, expr)


@pytest.mark.parametrize("expr", PANELS)
def test_a_panel_follows_the_selected_service(tenant: Tenant, expr: str) -> None:
    assert found(tenant, expr, service="nobody") == []


def test_each_preset_for_an_aws_service_has_a_panel() -> None:
    said = "\n".join(panel["description"] for panel in DASHBOARD["panels"])
    assert [name for name in AWS_PRESETS if f"the preset {name}." not in said] == []
    assert [name for name in LOG_FILE_PRESETS if f"the preset {name}, for" not in said] == []


@pytest.mark.parametrize(
    ("query", "level", "guess"),
    [
        ('{log_group=~"/aws/vendedlogs/s3/.+"} |= `"http_status":200`', "info", "unknown"),
        ('{log_group=~"/aws/vendedlogs/s3/.+"} |= `"http_status":503`', "error", "unknown"),
        ('{log_group="aws-waf-logs-shop"} |= `"action":"BLOCK"`', "warn", "unknown"),
        ('{log_group="/aws/route53/example.com"} |= `SERVFAIL`', "warn", "unknown"),
    ],
)
def test_a_preset_gives_a_level_that_loki_would_not_know(
    tenant: Tenant, without_presets: Tenant, query: str, level: str, guess: str
) -> None:
    [line] = found(tenant, query)
    assert line["stream"]["detected_level"] == level
    [line] = found(without_presets, query)
    assert line["stream"]["detected_level"] == guess
