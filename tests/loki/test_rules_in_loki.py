"""In a real Loki, level and service are where Grafana looks for them, and rules' labels hold."""

import json
from pathlib import Path

import pytest

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import LokiLine
from loki_shipper.local.sample import retimed
from loki_shipper.model import LogData
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.rules.model import Rules
from loki_shipper.shipper.rules.parse import default_rules, parse_rules
from loki_shipper.shipper.sources.event import records
from tests.loki.asking import ALL, held, now, open_environment
from tests.pipeline.execution_environment import lines

EVENTS = Path(__file__).resolve().parents[2] / "events"

LEVELS = {
    "lambda": {
        "checkout of order": "info",
        "basket has": "debug",
        "receipt by mail": "warn",
        "Traceback": "error",
    },
    "lambda-json": {
        "begins": "info",
        "cannot price": "error",
        "report_written": "info",
        "no orders on": "error",
    },
    "watchtower": {
        "order_received": "info",
        "stock_missing": "error",
        "retrying": "warn",
        "order_packed": "info",
    },
    "skypilot": {},
    "skypilot-2": {"startup complete": "info", "out of memory": "error"},
    "account-policy": {"200 OK": "info", "no free connection": "warn"},
    "apigateway": {},
    "ecs": {"listening": "info", "slow query": "warn", "refused": "error"},
    "eks": {"serving": "info", "in use": "warn", "within 1s": "error"},
}
PRESETS = {
    "lambda": "lambda",
    "lambda-json": "lambda",
    "watchtower": "watchtower",
    "skypilot": "skypilot",
    "skypilot-2": "skypilot",
    "account-policy": "ecs",
    "apigateway": "apigateway",
    "ecs": "ecs",
    "eks": "eks",
}
SERVICES = {
    "lambda": "fun-checkout",
    "lambda-json": "fun-report",
    "watchtower": "orders-worker",
    "skypilot": "skypilot-logs",
    "skypilot-2": "skypilot-logs",
    "account-policy": "orders-api",
    "apigateway": "shop",
    "ecs": "shop",
    "eks": "application",
}


def payload(name: str) -> LogData:
    event = json.loads((EVENTS / f"{name}.json").read_bytes())
    [data] = records(retimed(event, now()))
    return data


def shipped(loki: Loki | Running, tenant: str, data: LogData, given: Rules) -> list[LokiLine]:
    made = open_environment(loki, tenant)
    made.tags = {}
    made.rule_state = RuleState(given, {})
    made.ship(data)
    return held(loki, tenant)


@pytest.mark.parametrize("name", PRESETS)
def test_level_and_service_of_a_sample_are_where_grafana_looks(
    loki: Loki | Running, tenant: str, name: str
) -> None:
    data = payload(name)
    found = shipped(loki, tenant, data, parse_rules(f"[[rule]]\npreset = '{PRESETS[name]}'"))
    assert len(found) == len([each for each in data.log_events if each.message.strip()])
    assert {line.labels["service_name"] for line in found} == {SERVICES[name]}
    for words, level in LEVELS[name].items():
        said = [line for line in found if words in line.line]
        assert said
        assert {line.metadata["detected_level"] for line in said} == {level}


def test_a_level_that_is_stated_counts_for_more_than_a_word_of_the_message(
    loki: Loki | Running, tenant: str
) -> None:
    prefix = "\t2026-11-10T09:14:05.703Z\t5c0d9d52-3b1e-4a86-9f2c-0c6f5d1b7e11\t"
    data = lines(f"[INFO]{prefix}no error", f"[WARNING]{prefix}all is well", newest=now())
    informed, warned = shipped(loki, tenant, data, default_rules())
    assert "request_id" not in informed.metadata
    assert informed.metadata["detected_level"] == "info"
    assert warned.metadata["detected_level"] == "warn"


def test_a_json_line_keeps_its_own_level_beside_the_one_that_it_states(
    loki: Loki | Running, tenant: str
) -> None:
    line = '{"level":30,"msg":"no error"}'
    [found] = shipped(loki, tenant, lines(line, newest=now()), default_rules())
    assert found.metadata.keys() == {"detected_level", "log_stream"}
    same = f'{ALL} | json | detected_level="info" | level="30" | level_extracted=""'
    assert [each.line for each in held(loki, tenant, same)] == [line]


def test_lines_of_one_request_can_be_queried(loki: Loki | Running, tenant: str) -> None:
    made = open_environment(loki, tenant)
    made.rule_state = RuleState(parse_rules("[[rule]]\npreset = 'lambda'"), {})
    made.ship(payload("lambda"))
    asked = (
        '{log_group="/aws/lambda/fun-checkout"} | request_id="1f7a4c0e-6d2b-4d0a-8b52-9a5e3c7d4f22"'
    )
    assert [line.line.split(" ")[0].split("\t")[0] for line in held(loki, tenant, asked)] == [
        "START",
        "[INFO]",
        "END",
        "REPORT",
    ]


def test_clusters_of_one_log_group_are_streams_of_their_own(
    loki: Loki | Running, tenant: str
) -> None:
    made = open_environment(loki, tenant)
    made.rule_state = RuleState(parse_rules("[[rule]]\npreset = 'skypilot'"), {})
    for name in ("skypilot", "skypilot-2"):
        made.ship(payload(name))
    counts = {
        cluster: len(held(loki, tenant, f'{{log_group="skypilot-logs", cluster="{cluster}"}}'))
        for cluster in ("finetune", "serve-llm")
    }
    assert counts == {"finetune": 5, "serve-llm": 4}
    [line] = held(loki, tenant, '{cluster="serve-llm"} | rank="1" |= "out of memory"')
    assert line.metadata["node_ip"] == "10.0.173.214"


def test_labels_and_metadata_from_hostile_lines_never_cost_a_line(
    loki: Loki | Running, tenant: str
) -> None:
    body = """
        [[rule]]
        metadata = {m = "m", level = "m"}
        [[rule]]
        label = {l = "m"}
        at_most = 100
    """
    odd = ["", " ", "\0", "\ufffd", '"', "\\", "\n", "{}", "🐧", "x" * 100_000, "ß" * 5_000, "late"]
    data = lines(*(json.dumps({"m": each}) for each in odd), newest=now(), step=1)
    made = open_environment(loki, tenant)
    made.rule_state = RuleState(parse_rules(body), {})
    report = made.ship(data)
    assert report.delivered == len(odd)
    assert len(held(loki, tenant)) == len(odd)
