"""Tries rules on lines of a log group, and tells what they would save."""

import json
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from loki_shipper.cli.compare_lines import LabelInputs
from loki_shipper.cli.predict_streams import Sample
from loki_shipper.deployment.cost import ShippingCost
from loki_shipper.model import Pairs
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.rules.model import Drop, Rule, Rules, Sampling
from loki_shipper.shipper.rules.parse import parse_rules
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup, payloads

_LEVELS: Final = '["level", "levelname", "severity", "log.level", "lvl"]'
_CANDIDATES: Final = {
    "the lines of Lambda itself (START, END, REPORT)": ('preset = "lambda"\nplatform = "drop"',),
    "debug lines": (
        r"drop = '^(\[(DEBUG|TRACE)\]|\S+Z\t\S+\t(DEBUG|TRACE)\t|(DEBUG|TRACE)\b)'",
        f"drop = '(?i)^(debug|trace)$'\nfield = {_LEVELS}",
    ),
    "health checks": (r"drop = '\b(GET|HEAD) /(health|healthz|ready|readyz|livez?|ping)\b'",),
    "nine of ten requests, without their errors": ("sample = 10",),
}
"""Tables of a rules file without `groups`, by the lines that they drop."""

_LEAST_PERCENT: Final = 1


class KeptLines(Struct, frozen=True):
    """The lines that rules keep, and their bytes as Loki counts them: with the metadata."""

    lines: int
    loki_bytes: int


class Saving(Struct, frozen=True):
    """The saving of a rule, which drops `what`: percents of the lines and of Loki's bytes.

    `rule` is its text for a rules file. The dollars are those of a month: with the rule, and at
    most with a filter pattern for the same lines. No pattern can sample, so it is None then.
    """

    what: str
    rule: str
    lines_percent: int
    bytes_percent: int
    rule_dollars: float
    pattern_dollars: float | None


def taken_bytes(sample: Sample) -> int:
    """Return the bytes of a sample's lines."""
    return sum(len(each.event.message.encode("utf-8", "replace")) for each in sample.events)


def keep_lines(
    sample: Sample, group: FilteredGroup, inputs: LabelInputs, rules: Rules
) -> KeptLines:
    """Count the lines that rules keep, by the shipper's own code."""
    lines = size = 0
    state, sizes = RuleState(rules, {}), dict[Pairs, int]()
    logged = ((each.log_stream, each.event) for each in sample.events)
    for data in payloads(logged, group):
        labelled = label_stream(data, inputs.tags, region=inputs.region, settings=inputs.settings)
        result = transform(
            data,
            labelled.stream,
            labelled.metadata,
            rule_state=state,
            settings=inputs.settings,
        )
        for _, entries in result.streams:
            lines += len(entries)
            for entry in entries:
                if entry.metadata not in sizes:
                    sizes[entry.metadata] = sum(len(k) + len(v) for k, v in entry.metadata)
                size += len(entry.line.encode("utf-8", "replace")) + sizes[entry.metadata]
    return KeptLines(lines, size)


def savings(
    sample: Sample, group: FilteredGroup, inputs: LabelInputs, rules: Rules, cost: ShippingCost
) -> Iterator[Saving]:
    """Try rules that drop lines, after the ones in force, and yield those that drop enough."""
    own = rules.of(group.log_group)
    before = keep_lines(sample, group, inputs, rules)
    if not before.lines or not before.loki_bytes:
        return
    for what, tables in _CANDIDATES.items():
        text = _text(tables, group.log_group)
        tried = [rule for rule in parse_rules(text).rules if _drops(rule)]
        after = keep_lines(sample, group, inputs, Rules((*own, *tried)))
        of_lines = 1 - after.lines / before.lines
        of_bytes = 1 - after.loki_bytes / before.loki_bytes
        if round(100 * max(of_lines, of_bytes)) < _LEAST_PERCENT:
            continue
        samples = any(isinstance(rule.action, Sampling) for rule in tried)
        delivered = (cost.functions + cost.own_log) * of_lines
        yield Saving(
            what,
            text,
            round(100 * of_lines),
            round(100 * of_bytes),
            cost.transfer * of_bytes,
            None if samples else delivered + cost.transfer * of_bytes,
        )


def _text(tables: tuple[str, ...], log_group: str) -> str:
    groups = json.dumps([log_group])
    return "\n".join(f"[[rule]]\ngroups = {groups}\n{table}\n" for table in tables)


def _drops(rule: Rule) -> bool:
    return isinstance(rule.action, Drop | Sampling)
