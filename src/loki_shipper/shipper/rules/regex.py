"""Compiles and runs regular expressions: RE2 for a rules file, Python's engine for presets."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from loki_shipper.shipper.rules.model import Regex, Replace


@cache
def compiled(regex: Regex) -> Any:
    """Return a compiled pattern. Raises re2.error.

    RE2 needs time linear in the text, for any pattern. A preset's pattern runs on Python's engine,
    which needs no import.
    """
    if regex.from_preset:
        return re.compile(regex.pattern)
    import re2  # noqa: PLC0415 - slow to load, and only a rules file needs it

    options = re2.Options()
    # RE2 would write its own message to stderr.
    options.log_errors = False
    return re2.compile(regex.pattern, options=options)


def searcher(regex: Regex) -> Callable[[str], Any]:
    """Return a pattern's search function.

    A preset's pattern begins with `^`. There `match` is quicker than `search`, with which Python
    tries every place of the text.
    """
    pattern = compiled(regex)
    return pattern.match if regex.from_preset else pattern.search  # type: ignore[no-any-return] # RE2 has none


def substitute(replace: Replace, text: str, budget: list[int]) -> str:
    """Return a text with each match replaced.

    One search takes time linear in the rest of the text, but a text can need as many searches as
    it has characters. `budget` is a count of characters, and each search takes the rest of the text
    from it. When nothing is left, the rest of the text after a match is removed.
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
