"""What is told of a line is what the shipper does to it."""

import json
from pathlib import Path

import pytest

from loki_shipper.model import LogData, Pairs
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import Transformed
from loki_shipper.shipper.rules.model import Rules
from loki_shipper.shipper.rules.parse import parse_rules
from loki_shipper.shipper.sources.event import records
from loki_shipper.shipper.trace import trace_rules

EVENTS = Path(__file__).resolve().parents[2] / "events"
SETTINGS = Settings(loki_url="http://loki")
ALL = "".join(
    f"[[rule]]\npreset = '{name}'\ngroups = ['*']\n"
    for name in ("lambda", "watchtower", "skypilot", "apigateway", "ecs", "eks")
)
NO_OP = "[[rule]]\ndrop = 'nobody says this'\n"


def payload(name: str) -> LogData:
    [data] = records(json.loads((EVENTS / f"{name}.json").read_bytes()))
    return data


SAMPLES = [
    each.stem
    for each in sorted(EVENTS.glob("*.json"))
    if each.stem not in {"control", "ten-thousand"}
]


def stored(result: Transformed) -> list[tuple[int, str, Pairs]]:
    return sorted(
        (entry.timestamp, entry.line, entry.metadata)
        for _, entries in result.streams
        for entry in entries
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_the_lines_that_are_shown_are_those_that_are_shipped(name: str) -> None:
    tried = trace_rules(payload(name), parse_rules(ALL), SETTINGS)
    shown = [line.after for line in tried.lines if line.after is not None]
    assert sorted(shown) == sorted(line for _, line, _ in stored(tried.result))
    assert sum(tried.result.dropped.values()) == len(tried.lines) - len(shown)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("preset", ["level", "lambda", "apigateway"])
def test_the_short_way_of_a_preset_leads_where_the_long_one_does(preset: str, name: str) -> None:
    data = payload(name)
    given = parse_rules(f"[[rule]]\npreset = '{preset}'\ngroups = ['*']").rules
    short = trace_rules(data, Rules(given), SETTINGS).result
    # One more rule, and the short way is closed.
    long = trace_rules(data, Rules((*given, *parse_rules(NO_OP).rules)), SETTINGS).result
    assert stored(short) == stored(long)
    assert (short.dropped, short.matched) == (long.dropped, long.matched)
