"""What a line is worth noting for: names and values that become structured metadata."""

from collections.abc import Callable, Iterable
from typing import Any

from loki_shipper.model import Pairs
from loki_shipper.shipper.fields import Values, as_text, clean, finder
from loki_shipper.shipper.rules import Extract, Metadata, Regex, compiled

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

type Finish = Callable[[Pairs], Pairs]
"""What is to be made of notes, once for all lines that say the same."""


def note_text(action: Extract, finish: Finish) -> Callable[[str], Pairs | None]:
    """Make what takes the notes of a text: None where the pattern does not match."""
    search = searcher(action.regex)
    pattern = compiled(action.regex)
    names = [""] * pattern.groups
    for name, index in pattern.groupindex.items():
        # What follows __ only tells a preset's alternatives apart.
        names[index - 1] = name.partition("__")[0]
    known: dict[tuple[str | None, ...], Pairs] = {}

    def note(text: str) -> Pairs | None:
        match = search(text)
        if match is None:
            return None
        said = match.groups()
        noted = known.get(said)
        if noted is None:
            noted = known[said] = finish(_notes(zip(names, said, strict=True)))
        return noted

    return note


def note_fields(
    action: Metadata,
    keys: tuple[str, ...],
    finish: Finish,
    write: Callable[[Any], str] = as_text,
) -> Callable[[Values], Pairs | None]:
    """Make what takes the notes of a JSON object's values of `keys`: None where it is none."""
    finds = [(name, finder(fields, keys)) for name, fields in action.names]
    known: dict[Values, Pairs] = {}

    def take(values: Values) -> Pairs:
        found = [(name, find(values)) for name, find in finds]
        return finish(_notes([(name, write(value)) for name, value in found if value is not None]))

    def note(values: Values) -> Pairs | None:
        if not values:
            return None
        try:
            noted = known.get(values)
            if noted is None:
                noted = known[values] = take(values)
        except TypeError:
            # Objects among the values cannot be remembered.
            noted = take(values)
        return noted

    return note


def searcher(regex: Regex) -> Callable[[str], Any]:
    """Give a pattern's search; one of ours begins with ^, where Python's search goes on in vain."""
    pattern = compiled(regex)
    return pattern.match if regex.ours else pattern.search  # type: ignore[no-any-return]


def _notes(found: Iterable[tuple[str, str | None]]) -> Pairs:
    """Give what is worth a note: a level only where it is one, in the word that Loki has for it."""
    return tuple(
        [
            (name, noted)
            for name, value in found
            if value and name and (noted := _level(value) if name == "level" else clean(value))
        ]
    )


def _level(value: str) -> str | None:
    return LEVELS.get(value) or LEVELS.get(value.strip().lower())
