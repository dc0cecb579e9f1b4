"""Parses a rules file, in TOML; `docs/rules.md` shows each action by an example.

RulesError lists every fault, with its rule and line. A file with a fault gives no rules at all.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from msgspec.structs import replace

from loki_shipper.loki_names import chosen_label_name, is_logql_word
from loki_shipper.shipper.rules.model import (
    Action,
    Drop,
    Extract,
    Fields,
    Keep,
    Label,
    Metadata,
    Regex,
    Replace,
    Rule,
    Rules,
    RulesError,
    Sampling,
    Tenant,
    TextTimestamp,
    Timestamp,
    Unwrap,
)
from loki_shipper.shipper.rules.paths import TellFault, fields_of, is_text
from loki_shipper.shipper.rules.preset import Preset
from loki_shipper.shipper.rules.presets import DEFAULT_PRESETS, PRESETS
from loki_shipper.shipper.rules.regex import compiled, substitute

ACTIONS = (
    "drop",
    "keep",
    "replace",
    "unwrap",
    "metadata",
    "label",
    "timestamp",
    "tenant",
    "sample",
    "preset",
)
RESERVED = ("empty", "own_log_group", "shipper_log_group")
"""Names under which the shipper itself counts dropped lines."""

_MAX_RULES = 200
_MAX_VALUES = 1000
_MAX_ONE_OF = 10_000
_BUDGET = 1_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:-]{0,63}")
_METADATA_NAME = re.compile(r"(?!.*__)[a-zA-Z][a-zA-Z0-9_]{0,127}")
_HEADER = re.compile(r"\s*\[\[\s*(rule|\"rule\"|'rule')\s*\]\]")
_OPTIONS = {
    "drop": {"field"},
    "keep": {"field"},
    "replace": {"with"},
    "label": {"values", "at_most"},
    "sample": {"by"},
}


def parse_rules(text: str) -> Rules:
    """Return the rules of a file. Raises RulesError."""
    import tomllib  # noqa: PLC0415 - slow to load, and only a rules file needs it

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError([f"it is not TOML: {error}"]) from None
    except RecursionError:
        raise RulesError(["it is not TOML: it is nested too deeply"]) from None
    tables = document.get("rule", [])
    faults = [f"takes no {key!r}: a rule begins with [[rule]]" for key in document if key != "rule"]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError([*faults, "'rule' is not a list of tables: a rule begins with [[rule]]"])
    if len(tables) > _MAX_RULES:
        raise RulesError([f"it has more than {_MAX_RULES} rules"])
    return _parse_tables(tables, _header_lines(text, len(tables)), faults)


@cache
def default_rules() -> Rules:
    """Return the rules of a shipper without a rules file: one preset, by the log group's name."""
    tables: list[dict[str, Any]] = [{"preset": name} for name in DEFAULT_PRESETS]
    return replace(_parse_tables(tables, [None] * len(tables), []), first_preset_only=True)


def _header_lines(text: str, count: int) -> list[int | None]:
    """Return the line number of each rule's header; None if a text of the file looks like one."""
    found = [n for n, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    return [*found] if len(found) == count else [None] * count


def _parse_tables(
    tables: list[dict[str, Any]], lines: list[int | None], faults: list[str]
) -> Rules:
    rules: list[Rule] = []
    names: set[str] = set()
    redacting = True
    for number, (table, line) in enumerate(zip(tables, lines, strict=True), 1):
        where = f"rule {number}" if line is None else f"line {line}, rule {number}"

        def fault(reason: str, where: str = where) -> None:
            faults.append(f"{where}: {reason}")

        redacting = redacting and "replace" in table
        if "replace" in table and not redacting:
            fault("replace must stand above all other rules: redaction comes first")
        name = table.get("name")
        if isinstance(name, str) and name in names:
            fault(f"another rule has the name {name!r}")
        names.add(str(name))
        rules += _parse_table(table, number, fault)
    if faults:
        raise RulesError(faults)
    return Rules(tuple(rules))


def _parse_table(table: dict[str, Any], number: int, fault: TellFault) -> Iterator[Rule]:
    actions = [action for action in ACTIONS if action in table]
    if len(actions) != 1:
        named = f", not {' and '.join(actions)}" if actions else ""
        fault(f"needs exactly one of {', '.join(ACTIONS)}{named}")
        return
    [action] = actions
    preset = PRESETS.get(str(table[action])) if action == "preset" else None
    options = preset.options if preset else {}
    others = {"format"} if preset and preset.format_tables else _OPTIONS.get(action, set())
    for key in table.keys() - {"name", "groups", action, *others, *options}:
        fault(f"{action} takes no {key!r}")
    name = _name(table.get("name", str(table[action]) if preset else f"rule-{number}"), fault)
    groups = _groups(table.get("groups", [*preset.groups] if preset else ["*"]), fault)
    if action != "preset":
        yield Rule(name, groups, _action(action, table, fault))
    elif preset is None:
        fault(f"there is no preset {table[action]!r}: there are {', '.join(PRESETS)}")
    else:
        chosen = {option: _option(option, table, words, fault) for option, words in options.items()}
        for each in _preset_tables(preset, table, fault):
            if all(chosen[option] in words for option, words in each.get("only", {}).items()):
                kind = next(kind for kind in ACTIONS if kind in each)
                yield Rule(name, groups, _action(kind, each, fault, from_preset=True))


def _preset_tables(
    preset: Preset, table: dict[str, Any], fault: TellFault
) -> tuple[dict[str, Any], ...]:
    if preset.format_tables is None or "format" not in table:
        return preset.tables
    if not is_text(table["format"]):
        fault('format must be the fields of a line, such as "${version} ${srcaddr}"')
        return ()
    return preset.format_tables(table["format"])


def _name(name: Any, fault: TellFault) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        fault("name must be 1 to 64 letters, digits, spaces and _ . : -")
        return ""
    if name in RESERVED:
        fault(f"name must not be {name!r}: the shipper itself counts lines under it")
    return name


def _groups(groups: Any, fault: TellFault) -> tuple[str, ...]:
    if not isinstance(groups, list) or not groups or not all(is_text(group) for group in groups):
        fault('groups must be a list of log groups, such as ["/aws/lambda/*"]')
        return ()
    return tuple(groups)


def _option(option: str, table: dict[str, Any], words: tuple[str, ...], fault: TellFault) -> str:
    word = table.get(option, words[0])
    if word not in words:
        fault(f"{option} must be one of {', '.join(words)}")
        return words[0]
    return str(word)


def _action(
    kind: str, table: dict[str, Any], fault: TellFault, *, from_preset: bool = False
) -> Action:
    value = table[kind]
    match kind:
        case "drop" | "keep":
            fields = fields_of(table["field"], "field", fault) if "field" in table else None
            regex = _regex(value, kind, fault, from_preset=from_preset) or Regex("")
            return Drop(regex, fields) if kind == "drop" else Keep(regex, fields)
        case "replace":
            return _replace(value, table.get("with"), fault)
        case "unwrap":
            return Unwrap(fields_of(value, kind, fault))
        case "metadata" if isinstance(value, dict):
            names = _metadata(value, fault)
            return Metadata(names, table.get("levels", ()) if from_preset else (), from_preset)
        case "metadata":
            levels = table.get("levels", ()) if from_preset else ()
            by_fields = table.get("by_fields") if from_preset else None
            return Extract(_extract(value, fault, from_preset=from_preset), levels, by_fields)
        case "label":
            return _label(table, fault)
        case "timestamp" if from_preset and isinstance(value, str):
            return TextTimestamp(Regex(value, from_preset))
        case "timestamp":
            date = (
                fields_of(table["date"], "date", fault) if from_preset and "date" in table else ()
            )
            return Timestamp(fields_of(value, kind, fault), date, from_preset)
        case "sample":
            return _sample(table, fault)
        case _:
            return Tenant(fields_of(value, kind, fault))


def _regex(pattern: Any, key: str, fault: TellFault, *, from_preset: bool = False) -> Regex | None:
    if not is_text(pattern):
        or_fields = " or names and fields" if key == "metadata" else ""
        fault(f"{key} must be a regular expression{or_fields}")
        return None
    regex = Regex(pattern, from_preset)
    return regex if from_preset or _is_valid(regex, key, fault) else None


def _is_valid(regex: Regex, key: str, fault: TellFault) -> bool:
    import re2  # noqa: PLC0415 - slow to load, and only a rules file needs it

    try:
        compiled(regex)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace")
        fault(f"{key} is not a regular expression that RE2 takes: {why}")
        return False
    return True


def _replace(pattern: Any, template: Any, fault: TellFault) -> Replace:
    regex = _regex(pattern, "replace", fault)
    if not isinstance(template, str):
        fault('replace needs a text to put in its place: with = "…"')
        return Replace(Regex(""), ())
    if regex is None:
        return Replace(Regex(""), ())
    replace = Replace(regex, tuple(_template(template, compiled(regex).groups, fault)))
    literal = "".join(str(piece) for piece in replace.template)
    is_literal = all(isinstance(piece, str) for piece in replace.template)
    if compiled(regex).search("") is not None:
        fault("replace matches the empty text, which is between all characters")
    elif is_literal and substitute(replace, literal, [_BUDGET]) != literal:
        fault("replace matches its own with: a redrive would change the line again")
    return replace


def _template(template: str, groups: int, fault: TellFault) -> Iterator[str | int]:
    for place, piece in enumerate(re.split(r"\\(.?)", template, flags=re.DOTALL)):
        if not place % 2 or piece == "\\":
            yield piece
        elif piece.isascii() and piece.isdigit() and int(piece) <= groups:
            yield int(piece)
        else:
            fault(f"with may have \\0 to \\{min(groups, 9)} and \\\\, not \\{piece}")


def _metadata(table: dict[str, Any], fault: TellFault) -> tuple[tuple[str, Fields], ...]:
    if not table:
        fault('metadata needs names and fields, such as { user = "user.id" }')
    for name in table:
        _check_metadata_name(name, fault)
    return tuple((name, fields_of(path, name, fault)) for name, path in table.items())


def _extract(pattern: Any, fault: TellFault, *, from_preset: bool) -> Regex:
    regex = _regex(pattern, "metadata", fault, from_preset=from_preset)
    if regex is not None and not from_preset:
        names = compiled(regex).groupindex
        if not names:
            fault("metadata needs named groups in its regular expression: (?P<name>…)")
        for name in names:
            _check_metadata_name(name, fault)
    return regex or Regex("")


def _check_metadata_name(name: str, fault: TellFault) -> None:
    if not _METADATA_NAME.fullmatch(name):
        fault(f"{name!r} is not a name for metadata: letters, digits and single _, a letter first")
    elif is_logql_word(name):
        fault(f"{name!r} is a word of LogQL, so no query can name it")


def _label(table: dict[str, Any], fault: TellFault) -> Label:
    named = table["label"]
    if not isinstance(named, dict) or len(named) != 1:
        fault('label needs one name and its field, such as { team = "team" }')
        named = {"label": "label"}
    [(name, path)] = named.items()
    try:
        chosen_label_name(name)
    except ValueError as error:
        fault(str(error))
    values, at_most = table.get("values"), table.get("at_most")
    if (values is None) == (at_most is None):
        fault('label needs either values = ["a", "b"] or at_most = 20, to limit the streams')
    if values is not None and not _are_values(values):
        fault(f"values must be a list of 1 to {_MAX_VALUES} texts that are not empty")
        values = None
    if at_most is not None and not (type(at_most) is int and 1 <= at_most <= _MAX_VALUES):
        fault(f"at_most must be a whole number from 1 to {_MAX_VALUES}")
        at_most = None
    allowed = None if values is None else frozenset(values)
    return Label(name, fields_of(path, name, fault), allowed, at_most or 0)


def _sample(table: dict[str, Any], fault: TellFault) -> Sampling:
    one_of = table["sample"]
    if not (type(one_of) is int and 2 <= one_of <= _MAX_ONE_OF):  # noqa: PLR2004 - 1 is all lines
        fault(f"sample must be a whole number from 2 to {_MAX_ONE_OF:,}: 10 keeps one of 10")
    return Sampling(one_of, fields_of(table["by"], "by", fault) if "by" in table else ())


def _are_values(values: Any) -> bool:
    return isinstance(values, list) and 0 < len(values) <= _MAX_VALUES and all(map(is_text, values))
