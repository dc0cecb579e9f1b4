"""What a preset is: tables as in a rules file, for the log groups that usually need them."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

UUID = "[0-9a-f-]{36}"
LEVEL_FIELDS = ["level", "levelname", "severity", "log.level", "lvl"]
REQUEST_ID_FIELDS = [
    "requestId",
    "request_id",
    "function_request_id",
    "AWSRequestId",
    "record.requestId",
]


class Preset(Struct, frozen=True):
    """Tables as in a rules file, for log groups unless the rule names others.

    A table of a preset may have keys that a rules file has not:

    - `only`: the table counts only if each option in it has one of these words.
    - `levels`, beside `metadata`: pairs of a pattern with `*` and `?`, and a level. The first
      pattern that matches a value of `level` that is no level itself decides.
    - `by_fields`, beside `metadata`: a function that gives the expression for log files that name
      the fields of their lines.
    - `date`, beside `timestamp`: fields with the day, if `timestamp` names the time of day.
    - `timestamp` as a regular expression: its group `time` is the time of a line of text.

    `options` are the words of each option; the first is the default. `format_tables` gives the
    tables for the option `format`, the fields of a line in their order.
    """

    groups: tuple[str, ...]
    tables: tuple[dict[str, Any], ...]
    options: dict[str, tuple[str, ...]] = {}
    format_tables: Callable[[str], tuple[dict[str, Any], ...]] | None = None


def either(*patterns: str) -> str:
    """Join patterns to one. A group's name gets `__` and the number of its pattern."""
    named = (text.replace(">", f"__{n}>") for n, text in enumerate(patterns))
    return f"^(?:{'|'.join(named)})"
