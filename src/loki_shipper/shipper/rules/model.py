"""The types of rules, as the parser makes them and the compiler takes them."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import ClassVar

from msgspec import Struct

from loki_shipper.environment import SettingsError

LOG_FILES = "s3://"
"""Begin of the log group of a log file in S3. The name of no other log group has a colon."""


class RulesError(SettingsError):
    """Raised when a rules file cannot be used; `faults` lists every fault, a sentence each."""

    def __init__(self, faults: Iterable[str]) -> None:
        super().__init__(*faults, about="RULES cannot be used: ")


class Field(Struct, frozen=True):
    """A path into a JSON object: `a.b` is a key `a.b`, or `b` inside `a`.

    `splits` are all ways to read the path: a key, and the rest of the path inside its value. The
    longest key comes first.
    """

    path: str
    splits: tuple[tuple[str, "Field | None"], ...]


type Fields = tuple[Field, ...]
"""Alternatives: the first field that a line has counts."""


class Regex(Struct, frozen=True):
    """A regular expression, from a preset or from a rules file."""

    pattern: str
    from_preset: bool = False


class Drop(Struct, frozen=True):
    """Drop the lines in which the expression matches, in the line or in a field."""

    kind: ClassVar = "drop"
    regex: Regex
    fields: Fields | None = None


class Keep(Struct, frozen=True):
    """Drop all other lines."""

    kind: ClassVar = "keep"
    regex: Regex
    fields: Fields | None = None


class Replace(Struct, frozen=True):
    """Replace each match with `template`, in which a number is a group of the match."""

    kind: ClassVar = "replace"
    regex: Regex
    template: tuple[str | int, ...]


class Unwrap(Struct, frozen=True):
    """Make a field the line."""

    kind: ClassVar = "unwrap"
    fields: Fields


type Levels = tuple[tuple[str, str], ...]
"""Patterns with `*` and `?` for values that are no level themselves, and their levels."""


class Metadata(Struct, frozen=True):
    """Copy fields to structured metadata; to a preset, `-` is a field without a value."""

    kind: ClassVar = "metadata"
    names: tuple[tuple[str, Fields], ...]
    levels: Levels = ()
    from_preset: bool = False


class Extract(Struct, frozen=True):
    """Copy the named groups of a match to structured metadata.

    `by_fields` gives a preset's expression for lines with these fields, if the file names them.
    """

    kind: ClassVar = "metadata"
    regex: Regex
    levels: Levels = ()
    by_fields: Callable[[Sequence[str]], str] | None = None


class Label(Struct, frozen=True):
    """Make a field a label, if its value is in `values` or among the first `at_most` values."""

    kind: ClassVar = "label"
    name: str
    fields: Fields
    values: frozenset[str] | None
    at_most: int


class Timestamp(Struct, frozen=True):
    """Take the line's time from a field.

    If the line has one of the fields `date`, `fields` has only the time of day. A preset keeps the
    log event's milliseconds where the field has none.
    """

    kind: ClassVar = "timestamp"
    fields: Fields
    date: Fields = ()
    from_preset: bool = False


class TextTimestamp(Struct, frozen=True):
    """Take the line's time from the first group of a preset's expression, as Timestamp does."""

    kind: ClassVar = "timestamp"
    regex: Regex


class Tenant(Struct, frozen=True):
    """Take the line's tenant from a field."""

    kind: ClassVar = "tenant"
    fields: Fields


class Sampling(Struct, frozen=True):
    """Keep the lines of one of `one_of` requests, and every error.

    `by` are the fields with the id of a request; without them it is Lambda's request id.
    """

    kind: ClassVar = "sample"
    one_of: int
    by: Fields = ()


type Action = (
    Drop
    | Keep
    | Replace
    | Unwrap
    | Metadata
    | Extract
    | Label
    | Timestamp
    | TextTimestamp
    | Tenant
    | Sampling
)
"""What a rule does to a line; `kind` is the key that a rules file has for it."""


class Rule(Struct, frozen=True):
    """An action for the lines of some log groups; the rules of one preset share its name."""

    name: str
    groups: tuple[str, ...]
    action: Action


class Rules(Struct, frozen=True):
    """Rules in the order in which they run.

    The reader of a log file has given each line the time in it, so no preset reads it again.

    With `first_preset_only` a log group gets the rules of the first preset that names it, and no
    others. No two neighbours may then have the same `groups`.
    """

    rules: tuple[Rule, ...] = ()
    first_preset_only: bool = False

    def of(self, log_group: str, fields: Sequence[str] = ()) -> tuple[Rule, ...]:
        """Return the rules of a log group, or of a log file whose lines have these fields."""
        found: list[Rule] = []
        for groups, rules in groupby(self.rules, attrgetter("groups")):
            if _names(groups, log_group):
                found += rules
                if self.first_preset_only:
                    break
        if log_group.startswith(LOG_FILES):
            return tuple(
                _for_fields(rule, fields) for rule in found if not _is_time_of_preset(rule.action)
            )
        return tuple(found)


def _for_fields(rule: Rule, fields: Sequence[str]) -> Rule:
    match rule.action:
        case Extract(by_fields=pattern, levels=levels) if fields and pattern is not None:
            regex = Regex(pattern(fields), from_preset=True)
            return Rule(rule.name, rule.groups, Extract(regex, levels))
        case _:
            return rule


def _is_time_of_preset(action: Action) -> bool:
    match action:
        case TextTimestamp() | Timestamp(from_preset=True):
            return True
        case _:
            return False


@lru_cache(maxsize=4096)
def _names(groups: tuple[str, ...], log_group: str) -> bool:
    return any(fnmatchcase(log_group, group) for group in groups)
