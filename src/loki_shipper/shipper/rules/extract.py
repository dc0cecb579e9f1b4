"""Extracts structured metadata: pairs of a name and a value, from a text or from JSON fields."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from msgspec import Struct

from loki_shipper.loki_names import DETECTED_LEVEL
from loki_shipper.model import Pairs
from loki_shipper.shipper.rules.fields import FieldReader, Values, as_text, clean
from loki_shipper.shipper.rules.model import Extract, Levels, Metadata
from loki_shipper.shipper.rules.presets import LEVEL
from loki_shipper.shipper.rules.regex import compiled, searcher

LEVELS = {
    "trace": ("trace", "trc", "10"),
    "debug": ("debug", "dbg", "20"),
    "info": ("info", "inf", "information", "notice", "i", "30"),
    "warn": ("warn", "wrn", "warning", "w", "40"),
    "error": ("error", "err", "e", "50"),
    "critical": ("critical",),
    "fatal": ("fatal", "f", "60"),
}
"""Loki's levels, with the spellings of loggers: words, klog's letters, bunyan's numbers."""

_LEVELS = {
    spelling: (DETECTED_LEVEL, level)
    for level, spellings in LEVELS.items()
    for spelling in spellings
}

HEAD = 8
"""Characters of a line that `MetadataExtractors.of_head` takes."""

type Merge = Callable[[Pairs], Pairs]
"""Turns extracted pairs into an entry's metadata. It is called once for many lines."""


class MetadataExtractors(Struct, frozen=True):
    """Functions that give the metadata of a line.

    `of_json` takes a line that starts with `{`,
    `of_text` any other line. `of_head` takes the first `HEAD` characters of a line, and gives the
    metadata of every line that starts with them, or None if the rest of the line matters.
    """

    of_text: Callable[[str], Pairs]
    of_json: Callable[[str], Pairs]
    of_head: Callable[[str], Pairs | None]


class MetadataRules(Struct, frozen=True):
    """Rules that extract metadata and do nothing else, under one name.

    `shared` is the metadata of a line from which they extract nothing. `extractors` is None if
    there are no rules.
    """

    name: str
    shared: Pairs
    extractors: MetadataExtractors | None


def text_extractor(action: Extract, merge: Merge) -> Callable[[str], Pairs]:
    """Return a function that gives the metadata of a text."""
    search = searcher(action.regex)
    pattern = compiled(action.regex)
    # A preset adds __ and a number to a name, so that each alternative has its own groups.
    names = {index: name.partition("__")[0] for name, index in pattern.groupindex.items()}
    to_pairs = [_to_pair(names.get(index), action.levels) for index in range(1, pattern.groups + 1)]
    cached: dict[tuple[str | None, ...], Pairs] = {}
    nothing = merge(())

    def extract(text: str) -> Pairs:
        match = search(text)
        if match is None:
            return nothing
        groups = match.groups()
        metadata = cached.get(groups)
        if metadata is None:
            pairs = [
                pair
                for to_pair, value in zip(to_pairs, groups, strict=True)
                if value and (pair := to_pair(value))
            ]
            metadata = cached[groups] = merge(tuple(pairs))
        return metadata

    return extract


def head_extractor(
    action: Extract, extract: Callable[[str], Pairs]
) -> Callable[[str], Pairs | None]:
    """Return the `of_head` of an action; `extract` is its text extractor."""
    if action.regex.pattern != LEVEL:
        return lambda _: None
    nothing = extract("")

    def of_head(head: str) -> Pairs | None:
        first = head[:1]
        if first == "[":
            # The pattern needs `]` and one more character; or the head is the whole line.
            return extract(head) if "]" in head[:-1] or len(head) < HEAD else None
        return None if first == "{" or first.isdecimal() else nothing

    return of_head


def fields_extractor(
    action: Metadata,
    reader: FieldReader,
    merge: Merge,
    write: Callable[[Any], str] = as_text,
) -> Callable[[Values], Pairs]:
    """Return a function that gives the metadata of a JSON object's values."""
    finders = [
        (reader.finder(fields), _to_pair(name, action.levels)) for name, fields in action.names
    ]
    absent = (None, "-") if action.from_preset else (None,)
    cached: dict[Values, Pairs] = {(): merge(())}

    def extract(values: Values) -> Pairs:
        pairs = [
            pair
            for find, to_pair in finders
            if (value := find(values)) not in absent and (pair := to_pair(write(value)))
        ]
        return merge(tuple(pairs))

    def extract_once(values: Values) -> Pairs:
        try:
            metadata = cached.get(values)
            if metadata is None:
                metadata = cached[values] = extract(values)
        except TypeError:
            # Values with a dict or a list cannot be a key.
            metadata = extract(values)
        return metadata

    return extract_once


type _ToPair = Callable[[str], tuple[str, str] | None]


def _to_pair(name: str | None, levels: Levels) -> _ToPair:
    """Return a function that makes a value a pair.

    `level` becomes Loki's `detected_level`. A value that is no level becomes no pair.
    """
    match name:
        case None:
            return lambda _: None
        case "level" | "detected_level":
            return _level_by_pattern(levels) if levels else _level
        case _:
            return lambda value: (name, clean(value)) if value else None


def _level(value: str) -> tuple[str, str] | None:
    return _LEVELS.get(value) or _LEVELS.get(value.strip().lower())


def _level_by_pattern(levels: Levels) -> _ToPair:
    # Lines have few different statuses, and fnmatch is slow.
    @lru_cache(maxsize=1024)
    def to_level(value: str) -> tuple[str, str] | None:
        matching = (
            (DETECTED_LEVEL, level) for pattern, level in levels if fnmatchcase(value, pattern)
        )
        return _level(value) or next(matching, None)

    return to_level
