"""The trace shows what the shipper does to a line."""

import json
from pathlib import Path

import pytest

from loki_shipper.model import LogData, LogEvent, Pairs
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import Transformed
from loki_shipper.shipper.rules.model import Rules
from loki_shipper.shipper.rules.parse import parse_rules
from loki_shipper.shipper.rules.presets import PRESETS
from loki_shipper.shipper.sources.event import records
from loki_shipper.shipper.trace import trace_rules
from tests.sample_events import LOG_GROUP_EVENTS

EVENTS = Path(__file__).resolve().parents[2] / "events"
SETTINGS = Settings(loki_url="http://loki")
ALL = "".join(f"[[rule]]\npreset = '{name}'\ngroups = ['*']\n" for name in PRESETS)
NO_OP = "[[rule]]\ndrop = 'nobody says this'\n"


def payload(name: str) -> LogData:
    [data] = records(json.loads((EVENTS / f"{name}.json").read_bytes()))
    return data


SAMPLES = sorted(LOG_GROUP_EVENTS.keys() - {"control", "kinesis", "ten-thousand"})


def stored(result: Transformed) -> list[tuple[int, str, Pairs]]:
    return sorted(
        (entry.timestamp, entry.line, entry.metadata)
        for _, entries in result.streams
        for entry in entries
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_the_trace_shows_the_lines_that_are_shipped(name: str) -> None:
    trace = trace_rules(payload(name), parse_rules(ALL), SETTINGS)
    shown = [line.after for line in trace.lines if line.after is not None]
    assert sorted(shown) == sorted(line for _, line, _ in stored(trace.result))
    assert sum(trace.result.dropped.values()) == len(trace.lines) - len(shown)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("preset", PRESETS)
def test_columns_and_the_loop_over_lines_give_the_same_for_a_preset(preset: str, name: str) -> None:
    data = payload(name)
    preset_rules = parse_rules(f"[[rule]]\npreset = '{preset}'\ngroups = ['*']").rules
    columns = trace_rules(data, Rules(preset_rules), SETTINGS).result
    # With one more rule, the payload goes line by line.
    line_by_line = trace_rules(
        data, Rules((*preset_rules, *parse_rules(NO_OP).rules)), SETTINGS
    ).result
    assert stored(columns) == stored(line_by_line)
    assert (columns.dropped, columns.matched) == (line_by_line.dropped, line_by_line.matched)


def test_the_trace_shows_the_rate_of_a_sampled_line_and_what_is_left_out() -> None:
    events = [LogEvent(str(number), 0, f"line {number}") for number in range(60)]
    events.append(LogEvent("60", 0, '{"level": "error", "a": "b"}'))
    data = LogData("DATA_MESSAGE", "123456789012", "g", "s", events)
    rules = parse_rules("[[rule]]\nmetadata = {a = 'a'}\n[[rule]]\nname = 'some'\nsample = 10\n")
    lines = trace_rules(data, rules, SETTINGS).lines
    told = {effect.what for line in lines[:60] for effect in line.effects}
    assert told == {"drops the line", 'metadata sample_rate="10"'}
    assert [effect.what for effect in lines[60].effects] == [
        'metadata a="b"',
        'metadata sample_rate="1"',
    ]
