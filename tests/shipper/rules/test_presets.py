"""Each preset has safe patterns, good names and a sample event, in which it finds something."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from loki_shipper.loki_names import is_logql_word
from loki_shipper.model import LogData, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.rules.model import Extract, Label, Metadata, Regex
from loki_shipper.shipper.rules.parse import ACTIONS, parse_rules
from loki_shipper.shipper.rules.presets import PRESETS
from loki_shipper.shipper.rules.regex import compiled
from loki_shipper.shipper.sources.event import records
from tests.sample_events import LOG_GROUP_EVENTS
from tests.shipper.log_files.samples import SAMPLES

WITH_PATTERNS = {"drop", "keep", "metadata", "timestamp"}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_brings_its_rules_under_its_name_and_for_its_log_groups(name: str) -> None:
    found = parse_rules(f"[[rule]]\npreset = '{name}'").rules
    assert found
    assert {rule.name for rule in found} == {name}
    assert {rule.groups for rule in found} == {PRESETS[name].groups}


def preset_patterns() -> Iterator[Any]:
    for name, preset in PRESETS.items():
        for table in preset.tables:
            for action in ACTIONS:
                if isinstance(table.get(action), str) and action in {
                    "drop",
                    "keep",
                    "metadata",
                    "timestamp",
                }:
                    yield pytest.param(table[action], id=f"{name}-{action}-{table[action][:20]}")


@pytest.mark.parametrize("pattern", [*preset_patterns()])
def test_our_own_patterns_are_bounded_as_those_of_a_file_are(pattern: str) -> None:
    """They run on Python's engine: RE2 has to take them, and nothing repeats a repeat."""
    assert pattern.startswith("^")
    compiled(Regex(pattern))
    assert not re.search(r"[*+}]\)[*+{]", pattern)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_use_names_that_loki_takes_and_logql_can_ask_for(name: str) -> None:
    for preset_options in ({}, *({o: w} for o, ws in PRESETS[name].options.items() for w in ws)):
        options = "".join(f"{key} = '{word}'\n" for key, word in preset_options.items())
        for rule in parse_rules(f"[[rule]]\npreset = '{name}'\n{options}").rules:
            match rule.action:
                case Metadata(names=names):
                    found = [each for each, _ in names]
                case Extract(regex=regex):
                    found = [each.partition("__")[0] for each in compiled(regex).groupindex]
                case Label(name=label):
                    found = [label]
                case _:
                    found = []
            for each in found:
                assert re.fullmatch(r"[a-z][a-z0-9_]*", each)
                assert not is_logql_word(each)


@cache
def samples() -> list[LogData]:
    return [
        data
        for name, path in LOG_GROUP_EVENTS.items()
        if name != "ten-thousand"
        for data in records(json.loads(path.read_bytes()))
    ] + [
        LogData("DATA_MESSAGE", "123456789012", f"s3://b/{sample.type}", "k", sample.events())
        for sample in SAMPLES.values()
    ]


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_finds_something_in_a_sample_event_of_its_log_groups(name: str) -> None:
    state = RuleState(parse_rules(f"[[rule]]\npreset = '{name}'"), {})
    settings = Settings(loki_url="http://loki")
    assert any(
        transform(data, Stream(None, ()), (), rule_state=state, settings=settings).matched
        for data in samples()
    )
