"""Applies compiled rules to one line."""

from collections.abc import Callable

from msgspec import Struct

from loki_shipper.model import LogEvent, Pairs
from loki_shipper.shipper.rules.fields import Values


class WorkingLine(Struct, gc=False):
    """A line while rules change it: first the log event's text, at the end the text for Loki.

    `event` is redacted like the text, and `timestamp` is in ms. `dropped` is the name of the rule
    that dropped the line. `rejected` is the reason why no tenant may read it. `labels` and
    `metadata` are those that rules added. `values` caches the line's JSON fields.
    """

    event: LogEvent
    text: str
    timestamp: int
    tenant: str | None = None
    dropped: str | None = None
    rejected: str | None = None
    labels: Pairs = ()
    metadata: Pairs = ()
    values: Values | None = None


class CompiledRule(Struct, frozen=True):
    """A rule for the lines of one payload.

    `apply` changes a line, and returns whether it did. `on_text`: it can change a line that is not
    a JSON object. `redacts`: it runs before all others.
    """

    name: str
    apply: Callable[[WorkingLine], bool]
    on_text: bool = False
    redacts: bool = False


class CompiledRules(Struct, frozen=True):
    """The rules of a log group, for the lines of one payload.

    `redaction` runs first, on every line. Then `json` runs on JSON objects, and `text`, which
    leaves out the rules that need a field, on all other lines.
    """

    redaction: list[CompiledRule]
    json: list[CompiledRule]
    text: list[CompiledRule]


def apply_rules(event: LogEvent, rules: CompiledRules, counts: dict[str, int]) -> WorkingLine:
    """Return a log event's line after the rules; `counts` grows for each rule that changed it."""
    line = WorkingLine(event, event.message.removesuffix("\n"), event.timestamp)
    for rule in rules.redaction:
        if rule.apply(line):
            counts[rule.name] = counts.get(rule.name, 0) + 1
    for rule in rules.json if line.text.startswith("{") else rules.text:
        if rule.apply(line):
            counts[rule.name] = counts.get(rule.name, 0) + 1
            if line.dropped is not None:
                break
    return line
