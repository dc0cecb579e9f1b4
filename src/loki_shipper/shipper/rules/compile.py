"""Compiles the rules of a log group, once for each payload."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.loki_names import SAMPLE_RATE, is_tenant
from loki_shipper.model import LogEvent, Pairs
from loki_shipper.shipper.rules.apply import CompiledRule, CompiledRules, WorkingLine
from loki_shipper.shipper.rules.extract import (
    Merge,
    MetadataExtractors,
    MetadataRules,
    fields_extractor,
    head_extractor,
    text_extractor,
)
from loki_shipper.shipper.rules.fields import (
    FieldReader,
    Values,
    as_own_time,
    as_text,
    as_time,
    clean,
)
from loki_shipper.shipper.rules.model import (
    Drop,
    Extract,
    Fields,
    Keep,
    Label,
    Metadata,
    Regex,
    Replace,
    Rule,
    Sampling,
    Tenant,
    TextTimestamp,
    Timestamp,
    Unwrap,
)
from loki_shipper.shipper.rules.regex import searcher, substitute
from loki_shipper.shipper.rules.sample import rate_finder

_BUDGET = 1_000_000_000
"""Characters that the redaction of one payload may search: a few seconds."""


class StreamLabels(Struct, frozen=True):
    """The labels of a payload's stream, and the limits for the labels of rules.

    One of `max_labels` stays free. `label_values` holds the values that `at_most` let become
    labels, by rule and label, while the execution environment lives.
    """

    labels: Mapping[str, str]
    max_labels: int
    label_values: dict[tuple[str, str], set[str]]


def compile_metadata(rules: Sequence[Rule], merge: Merge) -> MetadataRules | None:
    """Return rules that only extract metadata, with a preset's pattern or a table; else None.

    A preset may have both. `merge` turns extracted pairs into an entry's metadata.
    """
    match rules:
        case []:
            return MetadataRules("", merge(()), None)
        case [
            Rule(name=name, action=Extract(regex=Regex(from_preset=True)) as pattern),
            Rule(name=same_name, action=Metadata() as table),
        ] if name == same_name:
            return MetadataRules(name, merge(()), _extractors(pattern, table, merge))
        case [Rule(name=name, action=Extract(regex=Regex(from_preset=True)) as pattern)]:
            of_text = text_extractor(pattern, merge)
            extractors = MetadataExtractors(of_text, of_text, head_extractor(pattern, of_text))
            return MetadataRules(name, merge(()), extractors)
        case [Rule(name=name, action=Metadata() as table)]:
            return MetadataRules(name, merge(()), _extractors(None, table, merge))
        case _:
            return None


def _extractors(pattern: Extract | None, table: Metadata, merge: Merge) -> MetadataExtractors:
    reader = FieldReader()
    of_values = fields_extractor(table, reader, merge)
    read = reader.read
    nothing = merge(())
    of_text = (lambda _: nothing) if pattern is None else text_extractor(pattern, merge)
    return MetadataExtractors(
        of_text=of_text,
        of_json=lambda line: of_values(read(line)),
        of_head=(lambda _: None) if pattern is None else head_extractor(pattern, of_text),
    )


def compile_rules(rules: Sequence[Rule], labels: StreamLabels) -> CompiledRules:
    """Return any rules, for `apply_rules`."""
    compiler = _Compiler(rules, labels)
    compiled = [compiler.compile(rule) for rule in _sampled_once(rules)]
    return CompiledRules(
        redaction=[rule for rule in compiled if rule.redacts],
        json=[rule for rule in compiled if not rule.redacts],
        text=[rule for rule in compiled if rule.on_text],
    )


def _sampled_once(rules: Sequence[Rule]) -> list[Rule]:
    """Leave out all rules `sample` but the first: two rates of one line cannot be told apart."""
    first = next((rule for rule in rules if isinstance(rule.action, Sampling)), None)
    return [rule for rule in rules if rule is first or not isinstance(rule.action, Sampling)]


type _Apply = Callable[[WorkingLine], bool]
type _Find = Callable[[WorkingLine], Any]


class _Compiler:
    """Compiles the rules of one payload, which share a reader, a budget and the free labels."""

    def __init__(self, rules: Sequence[Rule], labels: StreamLabels) -> None:
        self._labels = labels
        self._reader = FieldReader()
        self._replaces = [rule.action for rule in rules if isinstance(rule.action, Replace)]
        self._budget = [_BUDGET]
        # The order of the rules decides which labels fit, so that no line decides for another.
        names = [rule.action.name for rule in rules if isinstance(rule.action, Label)]
        new = [name for name in dict.fromkeys(names) if name not in labels.labels]
        self._free = set(new[: max(0, labels.max_labels - 1 - len(labels.labels))])

    def compile(self, rule: Rule) -> CompiledRule:
        name = rule.name
        match rule.action:
            case Drop(regex=regex, fields=fields):
                apply = _drop(name, self._matches(regex, fields), when=True)
                return CompiledRule(name, apply, on_text=fields is None)
            case Keep(regex=regex, fields=fields):
                apply = _drop(name, self._matches(regex, fields), when=False)
                return CompiledRule(name, apply, on_text=True)
            case Replace() as action:
                return CompiledRule(name, self._replace(action), redacts=True)
            case Unwrap(fields=fields):
                return CompiledRule(name, self._unwrap(self._find(fields)))
            case Metadata() as action:
                return CompiledRule(name, self._metadata(action))
            case Extract() as action:
                return CompiledRule(name, _extract(action), on_text=True)
            case Label() as action:
                return CompiledRule(name, self._label(name, action))
            case Timestamp() as action:
                return CompiledRule(name, self._timestamp(action))
            case TextTimestamp(regex=regex):
                return CompiledRule(
                    name, _timestamp(_first_group(regex), as_own_time), on_text=True
                )
            case Tenant(fields=fields):
                return CompiledRule(name, self._tenant(self._find(fields)))
            case Sampling() as action:
                return CompiledRule(name, self._sample(name, action), on_text=True)
            case action:
                assert_never(action)

    def _values(self, line: WorkingLine) -> Values:
        if line.values is None:
            line.values = self._reader.read(line.text)
        return line.values

    def _find(self, fields: Fields) -> _Find:
        find = self._reader.finder(fields)
        return lambda line: find(self._values(line))

    def _redacted(self, value: Any) -> str:
        """Return a value as redacted text: a secret that JSON's escapes hid is visible here."""
        text = as_text(value)
        for each in self._replaces:
            text = substitute(each, text, self._budget)
        return text

    def _matches(self, regex: Regex, fields: Fields | None) -> _Apply:
        search = searcher(regex)
        if fields is None:
            return lambda line: search(line.text) is not None
        find = self._find(fields)

        def matches(line: WorkingLine) -> bool:
            value = find(line)
            return value is not None and search(as_text(value)) is not None

        return matches

    def _replace(self, action: Replace) -> _Apply:
        def apply(line: WorkingLine) -> bool:
            text = substitute(action, line.text, self._budget)
            if text == line.text:
                return False
            line.event = _redacted_event(line.event, text)
            line.text, line.values = text, None
            return True

        return apply

    def _unwrap(self, find: _Find) -> _Apply:
        def apply(line: WorkingLine) -> bool:
            value = find(line)
            if value is None:
                return False
            line.text, line.values = self._redacted(value).removesuffix("\n"), None
            return True

        return apply

    def _metadata(self, action: Metadata) -> _Apply:
        extract = fields_extractor(action, self._reader, tuple, self._redacted)
        return lambda line: _add_metadata(line, extract(self._values(line)))

    def _label(self, rule: str, label: Label) -> _Apply:
        find = self._find(label.fields)
        name, own = label.name, self._labels.labels.get(label.name)
        metadata_name = name if own is None else f"rule_{name}"
        seen = self._labels.label_values.setdefault((rule, name), set())

        def is_allowed(value: str) -> bool:
            if label.values is not None:
                return value in label.values
            if value not in seen and len(seen) < label.at_most:
                seen.add(value)
            return value in seen

        def apply(line: WorkingLine) -> bool:
            found = find(line)
            value = "" if found is None else clean(self._redacted(found))
            if not value or value == own or any(name == each for each, _ in line.labels):
                return False
            if name in self._free and is_allowed(value):
                line.labels += ((name, value),)
            else:
                line.metadata += ((metadata_name, value),)
            return True

        return apply

    def _timestamp(self, action: Timestamp) -> _Apply:
        find, find_date = self._find(action.fields), self._find(action.date)

        def find_both(line: WorkingLine) -> Any:
            found, date = find(line), find_date(line)
            return found if found is None or date is None else f"{date}T{found}"

        return _timestamp(
            find_both if action.date else find, as_own_time if action.from_preset else as_time
        )

    def _sample(self, rule: str, action: Sampling) -> _Apply:
        rate_of = rate_finder(action, self._reader, self._values)

        def apply(line: WorkingLine) -> bool:
            rate = rate_of(line)
            if rate is None:
                line.dropped = rule
            else:
                # First, because an entry keeps only so many pairs.
                line.metadata = ((SAMPLE_RATE, str(rate)), *line.metadata)
            return True

        return apply

    def _tenant(self, find: _Find) -> _Apply:
        def apply(line: WorkingLine) -> bool:
            found = find(line)
            if found in (None, ""):
                return False
            tenant = self._redacted(found) if isinstance(found, str) else ""
            if is_tenant(tenant):
                line.tenant = tenant
            else:
                # The line belongs to some tenant, so no other tenant may read it.
                line.rejected = "tenant_invalid"
            return True

        return apply


def _drop(rule: str, matches: _Apply, *, when: bool) -> _Apply:
    def apply(line: WorkingLine) -> bool:
        if matches(line) is not when:
            return False
        line.dropped = rule
        return True

    return apply


def _redacted_event(event: LogEvent, text: str) -> LogEvent:
    """Return a log event with a redacted text, without the fields that filter patterns took."""
    end = "\n" if event.message.endswith("\n") else ""
    fields = event.extracted_fields
    kept = fields and {key: value for key, value in fields.items() if key.startswith("@")}
    return replace(event, message=text + end, extracted_fields=kept)


def _extract(action: Extract) -> _Apply:
    extract = text_extractor(action, tuple)
    return lambda line: _add_metadata(line, extract(line.text))


def _add_metadata(line: WorkingLine, pairs: Pairs) -> bool:
    if not pairs:
        return False
    line.metadata += pairs
    return True


def _first_group(regex: Regex) -> _Find:
    search = searcher(regex)

    def find(line: WorkingLine) -> Any:
        match = search(line.text)
        return None if match is None else match[match.lastindex or 0]

    return find


def _timestamp(find: _Find, to_ms: Callable[[Any, int], int | None]) -> _Apply:
    def apply(line: WorkingLine) -> bool:
        found = to_ms(find(line), line.event.timestamp)
        if found is None:
            return False
        line.timestamp = found
        return True

    return apply
