"""Tries rules on a payload, and says what each rule did to each line."""

from collections.abc import Iterator
from copy import copy

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import LogData, LogEvent, Pairs
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.shipper.entries.transform import RuleState, Transformed, transform
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.rules.apply import CompiledRule, CompiledRules, WorkingLine, apply_rules
from loki_shipper.shipper.rules.compile import StreamLabels, compile_rules
from loki_shipper.shipper.rules.model import Rules


class Effect(Struct, frozen=True):
    """What a rule did to a line, in words."""

    rule: str
    what: str


class TracedLine(Struct, frozen=True):
    """A line before and after the rules; `after` is None for a dropped or rejected line."""

    timestamp: int
    before: str
    after: str | None
    effects: list[Effect]


class RuleTrace(Struct, frozen=True):
    """What the rules of a log group do to a payload: line by line, and in total."""

    log_group: str
    rules: list[str]
    lines: list[TracedLine]
    result: Transformed


def trace_rules(data: LogData, rules: Rules, settings: Settings) -> RuleTrace:
    """Return what rules do to a payload, with the labels of a log group without tags."""
    labelled = label_stream(data, {}, region="", settings=settings)
    applied = rules.of(data.log_group, data.line_fields)
    labels = StreamLabels(dict(labelled.stream.labels), settings.max_labels, {})
    compiled = compile_rules(applied, labels)
    return RuleTrace(
        log_group=data.log_group,
        rules=[*dict.fromkeys(rule.name for rule in applied)],
        lines=[_traced(event, compiled) for event in data.log_events],
        result=transform(
            data,
            labelled.stream,
            labelled.metadata,
            rule_state=RuleState(rules, {}),
            settings=settings,
        ),
    )


def _traced(event: LogEvent, rules: CompiledRules) -> TracedLine:
    effects: list[Effect] = []
    line = apply_rules(event, _recording(rules, effects), {})
    is_gone = line.dropped is not None or line.rejected is not None or not line.text
    before = event.message.removesuffix("\n")
    return TracedLine(event.timestamp, before, None if is_gone else line.text, effects)


def _recording(rules: CompiledRules, effects: list[Effect]) -> CompiledRules:
    """Return the same rules, which also add what they do to `effects`."""

    def recording(rule: CompiledRule) -> CompiledRule:
        def apply(line: WorkingLine) -> bool:
            before = copy(line)
            is_changed = rule.apply(line)
            if is_changed:
                effects.extend(Effect(rule.name, what) for what in _changes(before, line))
            return is_changed

        return replace(rule, apply=apply)

    return replace(
        rules,
        redaction=[*map(recording, rules.redaction)],
        json=[*map(recording, rules.json)],
        text=[*map(recording, rules.text)],
    )


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
    yield from _added("metadata", before.metadata, after.metadata)


def _added(kind: str, before: Pairs, after: Pairs) -> Iterator[str]:
    for pair in (each for each in after if each not in before):
        yield f"{kind} {label_set((pair,))[1:-1]}"
