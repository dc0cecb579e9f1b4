"""Tries rules on a payload here, and tells of each line which rule did what to it."""

from collections.abc import Iterator
from copy import copy

from msgspec import Struct

from loki_shipper.model import LogData, LogEvent, Pairs
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.shipper.entries.transform import RuleState, Transformed, transform
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.rules.compile import (
    CompiledRules,
    StreamLabels,
    WorkingLine,
    compile_rules,
)
from loki_shipper.shipper.rules.parse import Rules


class Effect(Struct, frozen=True):
    """What a rule did to a line, in words."""

    rule: str
    what: str


class TracedLine(Struct, frozen=True):
    """A line before and after the rules; `after` is None where it was left out."""

    timestamp: int
    before: str
    after: str | None
    effects: list[Effect]


class RuleTrace(Struct, frozen=True):
    """What rules made of a payload: line by line, and added up."""

    rules: list[str]
    lines: list[TracedLine]
    result: Transformed


def trace_rules(data: LogData, rules: Rules, settings: Settings) -> RuleTrace:
    """Try rules on a payload of a log group without tags."""
    # Of the labels, only their number matters here, and no tag is known.
    labelled = label_stream(data, {}, region="", settings=settings)
    applied = rules.of(data.log_group)
    place = StreamLabels(dict(labelled.stream.labels), settings.max_labels, {})
    ready = compile_rules(applied, place)
    return RuleTrace(
        rules=[*dict.fromkeys(rule.name for rule in applied)],
        lines=[_tried(event, ready) for event in data.log_events],
        result=transform(
            data,
            labelled.stream,
            labelled.metadata,
            rule_state=RuleState(rules, {}),
            settings=settings,
        ),
    )


def _tried(event: LogEvent, steps: CompiledRules) -> TracedLine:
    line = WorkingLine(event, event.message.removesuffix("\n"), event.timestamp)
    effects = [*_walk(line, steps)]
    is_left_out = line.dropped is not None or line.rejected is not None or not line.text
    return TracedLine(
        event.timestamp,
        event.message.removesuffix("\n"),
        None if is_left_out else line.text,
        effects,
    )


def _walk(line: WorkingLine, steps: CompiledRules) -> Iterator[Effect]:
    """Apply steps as `interpret` does, and look at the line after each."""
    for name, act in steps.redaction:
        before = copy(line)
        if act(line):
            yield from (Effect(name, what) for what in _changes(before, line))
    for name, act in steps.json if line.text.startswith("{") else steps.text:
        before = copy(line)
        if act(line):
            yield from (Effect(name, what) for what in _changes(before, line))
        if line.dropped is not None:
            return


def _changes(before: WorkingLine, after: WorkingLine) -> Iterator[str]:
    if after.dropped is not None:
        yield "drops the line"
    if after.rejected != before.rejected:
        yield f"rejects the line: {after.rejected}"
    if after.event is not before.event:
        yield "redacts the line"
    elif after.text != before.text:
        yield "makes a field the line"
    if after.tenant != before.tenant:
        yield f"tenant {after.tenant}"
    if after.timestamp != before.timestamp:
        yield f"time {(after.timestamp - after.event.timestamp) / 1000:+.3f} s"
    yield from _added("label", before.labels, after.labels)
    yield from _added("metadata", before.notes, after.notes)


def _added(kind: str, before: Pairs, after: Pairs) -> Iterator[str]:
    for pair in after[len(before) :]:
        yield f"{kind} {label_set((pair,))[1:-1]}"
