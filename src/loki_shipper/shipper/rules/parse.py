"""From the text of a rules file to rules for what lines say; `docs/rules.md` has each by example.

Every fault is named, with its rule and line, in one RulesError: rules that are not understood are
not rules to ship by.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from msgspec import Struct

from loki_shipper.settings import SettingsError, chosen_label_name, is_logql_word
from loki_shipper.shipper.rules.presets import PRESETS

ACTIONS = (
    "drop",
    "keep",
    "replace",
    "unwrap",
    "metadata",
    "label",
    "timestamp",
    "tenant",
    "preset",
)
RESERVED = ("empty", "own_log_group", "shipper_log_group")
"""Reasons for dropping a line that are not rules."""

_MOST_RULES = 200
_BUDGET = 1_000_000
_MOST_VALUES = 1000
_DEEPEST_PATH = 8
_PATH = re.compile(r'[^\x00-\x1f"\\]{1,256}')
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:-]{0,63}")
_METADATA_NAME = re.compile(r"(?!.*__)[a-zA-Z][a-zA-Z0-9_]{0,127}")
_HEADER = re.compile(r"\s*\[\[\s*(rule|\"rule\"|'rule')\s*\]\]")
_BESIDE = {
    "drop": {"field"},
    "keep": {"field"},
    "replace": {"with"},
    "label": {"values", "at_most"},
}


class RulesError(SettingsError):
    """Raised when a rules file cannot be used; names every fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        super().__init__(*faults, about="RULES cannot be used: ")


class Field(Struct, frozen=True):
    """Where a JSON object says something: `a.b` is a key `a.b`, or `b` within `a`.

    `ways` are a key, longest first, and what is left of the path within it.
    """

    path: str
    ways: tuple[tuple[str, "Field | None"], ...]


type Fields = tuple[Field, ...]
"""Fields of which the first that is there counts."""


class Regex(Struct, frozen=True):
    """A pattern; `ours`: not from a rules file."""

    pattern: str
    ours: bool = False


class Drop(Struct, frozen=True):
    """Leave out lines of which a match is found, in the line or in a field."""

    regex: Regex
    fields: Fields | None = None


class Keep(Struct, frozen=True):
    """Leave out all lines but those."""

    regex: Regex
    fields: Fields | None = None


class Replace(Struct, frozen=True):
    """Put another text in the place of each match; in `template`, numbers are groups."""

    regex: Regex
    template: tuple[str | int, ...]


class Unwrap(Struct, frozen=True):
    """Let a field be the line."""

    fields: Fields


class Metadata(Struct, frozen=True):
    """Copy fields to structured metadata."""

    names: tuple[tuple[str, Fields], ...]


class Extract(Struct, frozen=True):
    """Copy the named groups of a match to structured metadata."""

    regex: Regex


class Label(Struct, frozen=True):
    """Let a field be a label: where it is one of `values`, or among the first `at_most`."""

    name: str
    fields: Fields
    values: frozenset[str] | None
    at_most: int


class Timestamp(Struct, frozen=True):
    """Take the time from a field."""

    fields: Fields


class Tenant(Struct, frozen=True):
    """Take the tenant from a field."""

    fields: Fields


type Action = Drop | Keep | Replace | Unwrap | Metadata | Extract | Label | Timestamp | Tenant


class Rule(Struct, frozen=True):
    """What to do with the lines of some log groups; several of a preset share its name."""

    name: str
    groups: tuple[str, ...]
    action: Action


class Rules(Struct, frozen=True):
    """Rules, in order."""

    rules: tuple[Rule, ...] = ()

    def of(self, log_group: str) -> tuple[Rule, ...]:
        """Give the rules of a log group."""
        return tuple(
            rule
            for rule in self.rules
            if any(fnmatchcase(log_group, group) for group in rule.groups)
        )


def parse_rules(text: str) -> Rules:
    """Read a rules file, in TOML. Raises RulesError."""
    import tomllib  # noqa: PLC0415 - slow to load, and without a rules file nobody needs it

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError([f"it is not TOML: {error}"]) from None
    except RecursionError:
        raise RulesError(["it is not TOML: it is nested too deeply"]) from None
    tables = document.get("rule", [])
    faults = [f"knows no {key!r}: a rule begins with [[rule]]" for key in document if key != "rule"]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise RulesError([*faults, "'rule' is not a list of tables: a rule begins with [[rule]]"])
    if len(tables) > _MOST_RULES:
        raise RulesError([f"it has more than {_MOST_RULES} rules"])
    return _read(tables, _lines(text, len(tables)), faults)


@cache
def default_rules() -> Rules:
    """Give the rules of a shipper without a rules file: the preset `level`."""
    return _read([{"preset": "level"}], [None], [])


@cache
def compiled(regex: Regex) -> Any:
    """Give a pattern, to search with: RE2's, or for one of ours, Python's.

    RE2 needs time linear in the text, whatever the text is.
    """
    if regex.ours:
        return re.compile(regex.pattern)
    import re2  # noqa: PLC0415 - slow to load, and only a rules file needs it

    options = re2.Options()
    # It would write to stderr what we tell in our own way.
    options.log_errors = False
    return re2.compile(regex.pattern, options=options)


def substitute(replace: Replace, text: str, budget: list[int]) -> str:
    """Replace each match in a text.

    A search takes time linear in what is left of the text, but there may be as many searches as
    characters. So `budget`, a count of characters, is spent on each: when it is used up, what is
    left of a text after a match is replaced as a whole, rather than shown.
    """
    pieces: list[str] = []
    end = 0
    for match in compiled(replace.regex).finditer(text):
        pieces += (text[end : match.start()], _expanded(replace.template, match))
        end = match.end()
        budget[0] -= len(text) - end
        if budget[0] < 0:
            end = len(text)
            break
    return text if not pieces else "".join((*pieces, text[end:]))


def _expanded(template: tuple[str | int, ...], match: Any) -> str:
    return "".join(
        piece if isinstance(piece, str) else match.group(piece) or "" for piece in template
    )


def _lines(text: str, count: int) -> list[int | None]:
    """Find the line of each rule's header; nowhere, where they cannot be told apart from text."""
    found = [n for n, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]
    return [*found] if len(found) == count else [None] * count


def _read(tables: list[dict[str, Any]], lines: list[int | None], faults: list[str]) -> Rules:
    found: list[Rule] = []
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
        found += _rules(table, number, fault)
    if faults:
        raise RulesError(faults)
    return Rules(tuple(found))


type _Fault = Callable[[str], None]


def _rules(table: dict[str, Any], number: int, fault: _Fault) -> Iterator[Rule]:
    """Read one table; on a fault, what comes of it is of no use."""
    actions = [action for action in ACTIONS if action in table]
    if len(actions) != 1:
        named = f", not {' and '.join(actions)}" if actions else ""
        fault(f"needs exactly one of {', '.join(ACTIONS)}{named}")
        return
    [action] = actions
    preset = PRESETS.get(str(table[action])) if action == "preset" else None
    options = preset.options if preset else {}
    known = {"name", "groups", action, *_BESIDE.get(action, ()), *options}
    for key in table.keys() - known:
        fault(f"{action} knows no {key!r}")
    name = _name(table.get("name", str(table[action]) if preset else f"rule-{number}"), fault)
    groups = _groups(table.get("groups", [*preset.groups] if preset else ["*"]), fault)
    if action != "preset":
        yield Rule(name, groups, _action(action, table, fault))
    elif preset is None:
        fault(f"there is no preset {table[action]!r}: there are {', '.join(PRESETS)}")
    else:
        chosen = {option: _option(option, table, preset.options, fault) for option in options}
        for each in preset.tables:
            if all(chosen[option] in words for option, words in each.get("only", {}).items()):
                kind = next(kind for kind in ACTIONS if kind in each)
                yield Rule(name, groups, _action(kind, each, fault, ours=True))


def _name(name: Any, fault: _Fault) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        fault("name must be 1 to 64 letters, digits, spaces and _ . : -")
        return ""
    if name in RESERVED:
        fault(f"name must not be {name!r}, which is counted already")
    return name


def _groups(groups: Any, fault: _Fault) -> tuple[str, ...]:
    if not isinstance(groups, list) or not groups or not all(_is_text(group) for group in groups):
        fault('groups must be a list of log groups, such as ["/aws/lambda/*"]')
        return ()
    return tuple(groups)


def _option(
    option: str, table: dict[str, Any], options: dict[str, tuple[str, ...]], fault: _Fault
) -> str:
    words = options[option]
    word = table.get(option, words[0])
    if word not in words:
        fault(f"{option} must be one of {', '.join(words)}")
        return words[0]
    return str(word)


def _action(kind: str, table: dict[str, Any], fault: _Fault, *, ours: bool = False) -> Action:
    value = table[kind]
    match kind:
        case "drop" | "keep":
            fields = _fields(table["field"], "field", fault) if "field" in table else None
            regex = _regex(value, kind, fault, ours=ours)
            return Drop(regex, fields) if kind == "drop" else Keep(regex, fields)
        case "replace":
            return _replace(value, table.get("with"), fault)
        case "unwrap":
            return Unwrap(_fields(value, kind, fault))
        case "metadata" if isinstance(value, dict):
            return _metadata(value, fault)
        case "metadata":
            return _extract(value, fault, ours=ours)
        case "label":
            return _label(table, fault)
        case "timestamp":
            return Timestamp(_fields(value, kind, fault))
        case _:
            return Tenant(_fields(value, kind, fault))


def _regex(pattern: Any, key: str, fault: _Fault, *, ours: bool = False) -> Regex:
    regex = Regex(pattern, ours) if _is_text(pattern) else Regex("")
    if not _is_text(pattern):
        fault(
            f"{key} must be a regular expression" + (" or names and fields" * (key == "metadata"))
        )
    elif not ours:
        _check_regex(regex, key, fault)
    return regex


def _check_regex(regex: Regex, key: str, fault: _Fault) -> None:
    import re2  # noqa: PLC0415 - as above

    try:
        compiled(regex)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace")
        fault(f"{key} is not a regular expression that RE2 takes: {why}")


def _replace(pattern: Any, template: Any, fault: _Fault) -> Replace:
    nothing = Replace(Regex(""), ())
    wrong: list[str] = []
    regex = _regex(pattern, "replace", wrong.append)
    if not isinstance(template, str):
        wrong.append('replace needs a text to put in its place: with = "…"')
    for reason in wrong:
        fault(reason)
    if wrong:
        return nothing
    replace = Replace(regex, tuple(_template(template, compiled(regex).groups, fault)))
    literal = "".join(str(piece) for piece in replace.template)
    is_literal = all(isinstance(piece, str) for piece in replace.template)
    if compiled(regex).search("") is not None:
        fault("replace matches the empty text, which is everywhere")
    elif is_literal and substitute(replace, literal, [_BUDGET]) != literal:
        # A redrive applies the rules again to what they made.
        fault("replace matches its own with, and would change the line again and again")
    return replace


def _template(template: str, groups: int, fault: _Fault) -> Iterator[str | int]:
    for place, piece in enumerate(re.split(r"\\(.?)", template, flags=re.DOTALL)):
        if not place % 2 or piece == "\\":
            yield piece
        elif piece.isascii() and piece.isdigit() and int(piece) <= groups:
            yield int(piece)
        else:
            fault(f"with may have \\0 to \\{min(groups, 9)} and \\\\, not \\{piece}")


def _metadata(table: dict[str, Any], fault: _Fault) -> Metadata:
    if not table:
        fault('metadata needs names and fields, such as { user = "user.id" }')
    for name in table:
        _check_metadata_name(name, fault)
    return Metadata(tuple((name, _fields(path, name, fault)) for name, path in table.items()))


def _extract(pattern: Any, fault: _Fault, *, ours: bool) -> Extract:
    wrong: list[str] = []
    regex = _regex(pattern, "metadata", wrong.append, ours=ours)
    for reason in wrong:
        fault(reason)
    if not wrong and not ours:
        names = compiled(regex).groupindex
        if not names:
            fault("metadata needs named groups in its regular expression: (?P<name>…)")
        for name in names:
            _check_metadata_name(name, fault)
    return Extract(regex)


def _check_metadata_name(name: str, fault: _Fault) -> None:
    if not _METADATA_NAME.fullmatch(name):
        fault(f"{name!r} is not a name for metadata: letters, digits and single _, a letter first")
    elif is_logql_word(name):
        fault(f"{name!r} is a word of LogQL, so nobody could ask for it")


def _label(table: dict[str, Any], fault: _Fault) -> Label:
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
        fault('label needs either values = ["a", "b"] or at_most = 20, or there is no end of them')
    if values is not None and not _are_values(values):
        fault(f"values must be a list of 1 to {_MOST_VALUES} texts that are not empty")
        values = None
    if at_most is not None and not (type(at_most) is int and 1 <= at_most <= _MOST_VALUES):
        fault(f"at_most must be a whole number from 1 to {_MOST_VALUES}")
        at_most = None
    allowed = None if values is None else frozenset(values)
    return Label(name, _fields(path, name, fault), allowed, at_most or 0)


def _are_values(values: Any) -> bool:
    return (
        isinstance(values, list) and 0 < len(values) <= _MOST_VALUES and all(map(_is_text, values))
    )


def _fields(paths: Any, key: str, fault: _Fault) -> Fields:
    listed = paths if isinstance(paths, list) else [paths]
    if not listed or not all(_is_path(path) for path in listed):
        fault(
            f"{key} must be a field of JSON, such as 'user.id', or a list of them, of up to "
            f"{_DEEPEST_PATH} levels and 256 characters"
        )
        return ()
    return tuple(_field(path) for path in listed)


def _is_path(path: Any) -> bool:
    return _is_text(path) and _PATH.fullmatch(path) is not None and path.count(".") < _DEEPEST_PATH


def _field(path: str) -> Field:
    parts = path.split(".")
    ways: list[tuple[str, Field | None]] = [(path, None)]
    ways += (
        (".".join(parts[:cut]), _field(".".join(parts[cut:])))
        for cut in range(len(parts) - 1, 0, -1)
    )
    return Field(path, tuple(ways))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
