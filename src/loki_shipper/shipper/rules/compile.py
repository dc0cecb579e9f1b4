"""What rules make of one line: they are made into steps once a payload, and then walked."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import LogEvent, Pairs
from loki_shipper.settings import is_tenant
from loki_shipper.shipper.rules.extract import (
    Finish,
    MetadataExtractors,
    fields_extractor,
    head_extractor,
    searcher,
    text_extractor,
)
from loki_shipper.shipper.rules.fields import (
    Values,
    as_text,
    as_time,
    clean,
    finder,
    keys_of,
    reader,
)
from loki_shipper.shipper.rules.parse import (
    Action,
    Drop,
    Extract,
    Field,
    Fields,
    Keep,
    Label,
    Metadata,
    Regex,
    Replace,
    Rule,
    Tenant,
    Timestamp,
    Unwrap,
    substitute,
)

_BUDGET = 1_000_000_000
"""Characters that the redaction of one payload may look at: seconds, where it should be none."""


class WorkingLine(Struct, gc=False):
    """A line while rules work on it: from the event's own text to what Loki is to store.

    `event` is redacted as the text is, `timestamp` is in ms, and `dropped` names the rule that left
    the line out. `rejected` says why nobody may read the line. `labels` are of rules only, and so
    are the `notes`, which become metadata.
    """

    event: LogEvent
    text: str
    timestamp: int
    tenant: str | None = None
    dropped: str | None = None
    rejected: str | None = None
    labels: Pairs = ()
    notes: Pairs = ()
    values: Values | None = None


type CompiledRule = tuple[str, Callable[[WorkingLine], bool]]
"""A rule's name and what it does to a line: it says whether it did."""


class CompiledRules(Struct, frozen=True):
    """The rules of a log group, ready for the lines of one payload.

    Those of redaction come first. Then a line that is no JSON object goes the shorter way of
    `text`, past the rules that could only ask it for fields in vain.
    """

    redaction: list[CompiledRule]
    json: list[CompiledRule]
    text: list[CompiledRule]


class StreamLabels(Struct, frozen=True):
    """What steps need to know of where the lines go.

    `labels` are the stream's own, of `max_labels` one is kept free. `label_values` holds what
    became a label under an `at_most`, by rule and label, for as long as the sandbox lives.
    """

    labels: Mapping[str, str]
    max_labels: int
    label_values: dict[tuple[str, str], set[str]]


def apply_rules(event: LogEvent, steps: CompiledRules, counts: dict[str, int]) -> WorkingLine:
    """Apply steps to a log event's line, in order, and count for each rule what it did."""
    line = WorkingLine(event, event.message.removesuffix("\n"), event.timestamp)
    for name, act in steps.redaction:
        if act(line):
            counts[name] = counts.get(name, 0) + 1
    for name, act in steps.json if line.text.startswith("{") else steps.text:
        if act(line):
            counts[name] = counts.get(name, 0) + 1
            if line.dropped is not None:
                break
    return line


def metadata_extractors(rules: tuple[Rule, ...], finish: Finish) -> MetadataExtractors | None:
    """Make what gives the metadata of lines, where rules do no more; else None.

    It is the short way of the default rules: one pattern of ours for text, one table for JSON.
    """
    match [rule.action for rule in rules]:
        case [Extract(regex=Regex(ours=True)) as text, Metadata() as table]:
            keys = keys_of(_asked(table))
        case _:
            return None
    read, of_fields = reader(keys), fields_extractor(table, keys, finish)
    of_text = text_extractor(text, finish)
    return MetadataExtractors(
        of_text, lambda line: of_fields(read(line)), head_extractor(text, of_text)
    )


def compile_rules(rules: tuple[Rule, ...], place: StreamLabels) -> CompiledRules:
    """Make rules into steps for the lines of one payload."""
    keys = keys_of(field for rule in rules for field in _asked(rule.action))
    making = _Compiler(rules, place, keys)
    made = [((rule.name, making.act(rule)), rule.action) for rule in rules]
    return CompiledRules(
        redaction=[step for step, action in made if isinstance(action, Replace)],
        json=[step for step, action in made if not isinstance(action, Replace)],
        text=[step for step, action in made if _concerns_text(action)],
    )


def _asked(action: Action) -> Iterator[Field]:
    """List the fields that an action asks a line for."""
    match action:
        case Metadata(names=names):
            for _, fields in names:
                yield from fields
        case Drop(fields=fields) | Keep(fields=fields):
            yield from fields or ()
        case Unwrap(fields=fields) | Timestamp(fields=fields) | Tenant(fields=fields):
            yield from fields
        case Label(fields=fields):
            yield from fields
        case Extract() | Replace():
            pass
        case _:
            assert_never(action)


def _concerns_text(action: Action) -> bool:
    """Tell whether an action may do something to a line that is no JSON object."""
    match action:
        case Drop(fields=None) | Keep() | Extract():
            return True
        case _:
            return False


type _Act = Callable[[WorkingLine], bool]
type _Find = Callable[[WorkingLine], Any]


class _Compiler:
    """What the steps of one payload have in common while they are made."""

    def __init__(self, rules: tuple[Rule, ...], place: StreamLabels, keys: tuple[str, ...]) -> None:
        self._place = place
        self._keys = keys
        self._read = reader(keys)
        self._replaces = [rule.action for rule in rules if isinstance(rule.action, Replace)]
        self._budget = [_BUDGET]
        # By the rules, and not by the lines, so that no line decides for another.
        named = [rule.action.name for rule in rules if isinstance(rule.action, Label)]
        wanted = [name for name in dict.fromkeys(named) if name not in place.labels]
        self._free = set(wanted[: max(0, place.max_labels - 1 - len(place.labels))])

    def act(self, rule: Rule) -> _Act:
        match rule.action:
            case Drop(regex=regex, fields=fields):
                return _drop(rule.name, self._test(regex, fields), when=True)
            case Keep(regex=regex, fields=fields):
                return _drop(rule.name, self._test(regex, fields), when=False)
            case Replace():
                return self._replace(rule.action)
            case Unwrap(fields=fields):
                return self._unwrap(fields)
            case Metadata():
                return self._metadata(rule.action)
            case Extract():
                return self._extract(rule.action)
            case Label():
                return self._label(rule.name, rule.action)
            case Timestamp(fields=fields):
                return _timestamp(self._find(fields))
            case Tenant(fields=fields):
                return self._tenant(fields)
            case _:
                assert_never(rule.action)

    def _values(self, line: WorkingLine) -> Values:
        if line.values is None:
            line.values = self._read(line.text)
        return line.values

    def _find(self, fields: Fields) -> _Find:
        """Make what finds the first of these fields that a line has."""
        find = finder(fields, self._keys)
        return lambda line: find(self._values(line))

    def _redacted(self, value: Any) -> str:
        """Write a value as text, redacted: here, JSON's escapes are no longer in the way."""
        text = as_text(value)
        for each in self._replaces:
            text = substitute(each, text, self._budget)
        return text

    def _test(self, regex: Regex, fields: Fields | None) -> _Act:
        search = searcher(regex)
        if fields is None:
            return lambda line: search(line.text) is not None
        find = self._find(fields)

        def test(line: WorkingLine) -> bool:
            value = find(line)
            return value is not None and search(as_text(value)) is not None

        return test

    def _replace(self, action: Replace) -> _Act:
        def replace(line: WorkingLine) -> bool:
            text = substitute(action, line.text, self._budget)
            if text == line.text:
                return False
            line.event = _redacted(line.event, text)
            line.text, line.values = text, None
            return True

        return replace

    def _unwrap(self, fields: Fields) -> _Act:
        find = self._find(fields)

        def unwrap(line: WorkingLine) -> bool:
            value = find(line)
            if value is None:
                return False
            line.text, line.values = self._redacted(value).removesuffix("\n"), None
            return True

        return unwrap

    def _extract(self, action: Extract) -> _Act:
        note = text_extractor(action, tuple)
        return lambda line: _add_metadata(line, note(line.text))

    def _metadata(self, action: Metadata) -> _Act:
        note = fields_extractor(action, self._keys, tuple, self._redacted)
        return lambda line: _add_metadata(line, note(self._values(line)))

    def _label(self, rule: str, label: Label) -> _Act:
        find = self._find(label.fields)
        name, own = label.name, self._place.labels.get(label.name)
        spare = name if own is None else f"rule_{name}"
        seen = self._place.label_values.setdefault((rule, name), set())

        def is_allowed(value: str) -> bool:
            if label.values is not None:
                return value in label.values
            if value not in seen and len(seen) < label.at_most:
                seen.add(value)
            return value in seen

        def act(line: WorkingLine) -> bool:
            found = find(line)
            value = "" if found is None else clean(self._redacted(found))
            if not value or value == own or any(name == each for each, _ in line.labels):
                return False
            if name in self._free and is_allowed(value):
                line.labels += ((name, value),)
            else:
                line.notes += ((spare, value),)
            return True

        return act

    def _tenant(self, fields: Fields) -> _Act:
        find = self._find(fields)

        def tenant(line: WorkingLine) -> bool:
            found = find(line)
            if found in (None, ""):
                return False
            named = self._redacted(found) if isinstance(found, str) else ""
            if is_tenant(named):
                line.tenant = named
            else:
                # The line is somebody's, so no other tenant may read it.
                line.rejected = "tenant_invalid"
            return True

        return tenant


def _drop(name: str, test: _Act, *, when: bool) -> _Act:
    def drop(line: WorkingLine) -> bool:
        if test(line) is not when:
            return False
        line.dropped = name
        return True

    return drop


def _redacted(event: LogEvent, text: str) -> LogEvent:
    """Give a log event that says `text`; what filter patterns took out of its line goes."""
    end = "\n" if event.message.endswith("\n") else ""
    said = event.extracted_fields
    kept = said and {key: value for key, value in said.items() if key.startswith("@")}
    return replace(event, message=text + end, extracted_fields=kept)


def _add_metadata(line: WorkingLine, notes: Pairs) -> bool:
    if not notes:
        return False
    line.notes += notes
    return True


def _timestamp(find: _Find) -> _Act:
    def timestamp(line: WorkingLine) -> bool:
        found = as_time(find(line), line.event.timestamp)
        if found is None:
            return False
        line.timestamp = found
        return True

    return timestamp
