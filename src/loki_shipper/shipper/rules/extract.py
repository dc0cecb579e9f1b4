"""What a line is worth noting for: names and values that become structured metadata."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from loki_shipper.model import Pairs
from loki_shipper.shipper.rules.fields import Values, as_text, clean, finder
from loki_shipper.shipper.rules.parse import Extract, Metadata, Regex, compiled
from loki_shipper.shipper.rules.presets import LEVEL

LEVELS = {
    "trace": "trace",
    "trc": "trace",
    "10": "trace",
    "debug": "debug",
    "dbg": "debug",
    "20": "debug",
    "info": "info",
    "inf": "info",
    "information": "info",
    "notice": "info",
    "i": "info",
    "30": "info",
    "warn": "warn",
    "wrn": "warn",
    "warning": "warn",
    "w": "warn",
    "40": "warn",
    "error": "error",
    "err": "error",
    "e": "error",
    "50": "error",
    "critical": "critical",
    "fatal": "fatal",
    "f": "fatal",
    "60": "fatal",
}
"""How loggers spell what Loki calls a level: the words, klog's letters, the numbers of bunyan."""

HEAD = 8
"""Characters of a line that `MetadataExtractors.of_head` sees."""

type Finish = Callable[[Pairs], Pairs]
"""What is to be made of notes, once for all lines that say the same."""


class MetadataExtractors(Struct, frozen=True):
    """What gives the metadata of a line that is JSON (it starts with `{`), and of another.

    `of_head` gives the metadata of every line that starts with these `HEAD` characters, or None
    where the rest of the line decides.
    """

    of_text: Callable[[str], Pairs]
    of_json: Callable[[str], Pairs]
    of_head: Callable[[str], Pairs | None]


def text_extractor(action: Extract, finish: Finish) -> Callable[[str], Pairs]:
    """Make what takes the notes of a text."""
    search = searcher(action.regex)
    pattern = compiled(action.regex)
    # What follows __ in a name only tells a preset's alternatives apart.
    names = {index: name.partition("__")[0] for name, index in pattern.groupindex.items()}
    takes = [_take(names.get(index)) for index in range(1, pattern.groups + 1)]
    known: dict[tuple[str | None, ...], Pairs] = {}
    nothing = finish(())

    def note(text: str) -> Pairs:
        match = search(text)
        if match is None:
            return nothing
        said = match.groups()
        noted = known.get(said)
        if noted is None:
            notes = [
                note
                for take, value in zip(takes, said, strict=True)
                if value and (note := take(value))
            ]
            noted = known[said] = finish(tuple(notes))
        return noted

    return note


def head_extractor(action: Extract, note: Callable[[str], Pairs]) -> Callable[[str], Pairs | None]:
    """Make what takes the notes of every text with the same `HEAD` characters at its beginning.

    It gives None where more of the text has to be seen. `note` takes the notes of a whole text.
    """
    if action.regex.pattern != LEVEL:
        return lambda _: None
    nothing = note("")

    def of_head(head: str) -> Pairs | None:
        first = head[:1]
        if first == "[":
            # The level ends before the last character, which is the one that has to follow it; or
            # this is all of the text.
            return note(head) if "]" in head[:-1] or len(head) < HEAD else None
        return None if first == "{" or first.isdecimal() else nothing

    return of_head


def fields_extractor(
    action: Metadata,
    keys: tuple[str, ...],
    finish: Finish,
    write: Callable[[Any], str] = as_text,
) -> Callable[[Values], Pairs]:
    """Make what takes the notes of a JSON object, from its values of `keys`."""
    finds = [(finder(fields, keys), _take(name)) for name, fields in action.names]
    known: dict[Values, Pairs] = {(): finish(())}

    def notes(values: Values) -> Pairs:
        found = [
            note
            for find, take in finds
            if (value := find(values)) is not None and (note := take(write(value)))
        ]
        return finish(tuple(found))

    def note(values: Values) -> Pairs:
        try:
            noted = known.get(values)
            if noted is None:
                noted = known[values] = notes(values)
        except TypeError:
            # Objects among the values cannot be remembered.
            noted = notes(values)
        return noted

    return note


def searcher(regex: Regex) -> Callable[[str], Any]:
    """Give a pattern's search; one of ours begins with ^, where Python's search goes on in vain."""
    pattern = compiled(regex)
    return pattern.match if regex.ours else pattern.search  # type: ignore[no-any-return] # RE2 has none


type _Take = Callable[[str], tuple[str, str] | None]


def _take(name: str | None) -> _Take:
    """Make what notes a value; a level only where it is one, in the word that Loki has for it."""
    match name:
        case None:
            return lambda _: None
        case "level":
            return _level
        case _:
            return lambda value: (name, clean(value)) if value else None


def _level(value: str) -> tuple[str, str] | None:
    return _LEVELS.get(value) or _LEVELS.get(value.strip().lower())


_LEVELS = {spelling: ("level", level) for spelling, level in LEVELS.items()}
