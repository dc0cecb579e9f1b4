"""Every example of docs/rules.md does what the comment above it says."""

import re
from pathlib import Path

import pytest
from msgspec import Struct

from loki_shipper.local.sample import event_id
from loki_shipper.model import LogData, LogEvent, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.shipper.entries.transform import RuleState, Transformed, transform
from loki_shipper.shipper.rules.parse import ACTIONS, parse_rules
from loki_shipper.shipper.rules.presets import PRESETS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "rules.md").read_text("utf-8")
NOW = 1_795_206_163_123
EXAMPLE = re.compile(r"((?:<!-- [^\n]* -->\n)*)```toml\n(.*?)```", re.DOTALL)
SAID = re.compile(r"<!-- (\w+): (.*) -->")


class Example(Struct, frozen=True):
    """Rules, and what is said of them by key: a line `in`, and what comes of it."""

    body: str
    said: dict[str, str]

    def result(self) -> Transformed:
        message = self.said.get("in", "x").replace(r"\t", "\t")
        event = LogEvent(event_id(NOW, NOW, 1, 0), NOW, message)
        group = self.said.get("group", "g")
        data = LogData("DATA_MESSAGE", "123456789012", group, "s", [event])
        rule_state, settings = (
            RuleState(parse_rules(self.body), {}),
            Settings(loki_url="http://loki"),
        )
        return transform(data, Stream(None, ()), (), rule_state=rule_state, settings=settings)


EXAMPLES = [Example(body, dict(SAID.findall(above))) for above, body in EXAMPLE.findall(TEXT)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.body.split("\n")[1])
def test_an_example_does_what_is_said(example: Example) -> None:
    said, result = example.said, example.result()
    if "dropped" in said:
        assert (result.streams, sum(result.dropped.values())) == ([], int(said["dropped"]))
        return
    [(stream, [entry])] = result.streams
    message = said.get("in", "x").replace(r"\t", "\t")
    assert entry.line == said.get("out", message)
    assert label_set(stream.labels)[1:-1] == said.get("labels", "")
    assert label_set(entry.metadata)[1:-1] == said.get("metadata", "")
    assert stream.tenant == said.get("tenant")
    assert entry.timestamp // 1_000_000 - NOW == int(said.get("shift", 0))


def test_each_action_and_preset_has_an_example() -> None:
    bodies = "\n".join(example.body for example in EXAMPLES)
    assert [each for each in ACTIONS if not re.search(rf"^{each} = ", bodies, re.MULTILINE)] == []
    assert [each for each in PRESETS if f'preset = "{each}"' not in bodies] == []


def test_every_example_but_the_first_has_a_line() -> None:
    assert ["in" in example.said for example in EXAMPLES] == [False] + [True] * (len(EXAMPLES) - 1)


def test_each_preset_has_a_section_with_its_log_groups() -> None:
    for name, preset in PRESETS.items():
        _, heading, rest = TEXT.partition(f"### {name}\n")
        assert heading, name
        section = rest.split("\n### ")[0]
        if preset.groups != ("*",):
            assert [group for group in preset.groups if f"`{group}`" not in section] == []
