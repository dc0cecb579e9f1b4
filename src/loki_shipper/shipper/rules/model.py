"""The types of rules, as the parser makes them and the compiler takes them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import ClassVar

from msgspec import Struct

from loki_shipper.environment import SettingsError


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


class Metadata(Struct, frozen=True):
    """Copy fields to structured metadata."""

    kind: ClassVar = "metadata"
    names: tuple[tuple[str, Fields], ...]


class Extract(Struct, frozen=True):
    """Copy the named groups of a match to structured metadata."""

    kind: ClassVar = "metadata"
    regex: Regex


class Label(Struct, frozen=True):
    """Make a field a label, if its value is in `values` or among the first `at_most` values."""

    kind: ClassVar = "label"
    name: str
    fields: Fields
    values: frozenset[str] | None
    at_most: int


class Timestamp(Struct, frozen=True):
    """Take the line's time from a field."""

    kind: ClassVar = "timestamp"
    fields: Fields


class Tenant(Struct, frozen=True):
    """Take the line's tenant from a field."""

    kind: ClassVar = "tenant"
    fields: Fields


type Action = Drop | Keep | Replace | Unwrap | Metadata | Extract | Label | Timestamp | Tenant
"""What a rule does to a line; `kind` is the key that a rules file has for it."""


class Rule(Struct, frozen=True):
    """An action for the lines of some log groups; the rules of one preset share its name."""

    name: str
    groups: tuple[str, ...]
    action: Action


class Rules(Struct, frozen=True):
    """Rules in the order in which they run."""

    rules: tuple[Rule, ...] = ()

    def of(self, log_group: str) -> tuple[Rule, ...]:
        """Return the rules of a log group."""
        return tuple(
            rule
            for rule in self.rules
            if any(fnmatchcase(log_group, group) for group in rule.groups)
        )
