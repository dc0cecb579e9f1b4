"""Parses the paths of fields in a rules file."""

import re
from collections.abc import Callable
from typing import Any

from loki_shipper.shipper.rules.model import Field, Fields

_MAX_LEVELS = 8
_PATH = re.compile(r'[^\x00-\x1f"\\]{1,256}')

type TellFault = Callable[[str], None]
"""Takes a fault's sentence. A rule with a fault is read to its end, to find its other faults."""


def fields_of(paths: Any, key: str, fault: TellFault) -> Fields:
    """Return the fields that `key` of a rule names: a path, or a list of them."""
    listed = paths if isinstance(paths, list) else [paths]
    if not listed or not all(_is_path(path) for path in listed):
        fault(
            f"{key} must be a field of JSON, such as 'user.id', or a list of them, of up to "
            f"{_MAX_LEVELS} levels and 256 characters"
        )
        return ()
    return tuple(field_of(path) for path in listed)


def _is_path(path: Any) -> bool:
    return is_text(path) and _PATH.fullmatch(path) is not None and path.count(".") < _MAX_LEVELS


def field_of(path: str) -> Field:
    """Return the field of a path, with all ways to read it."""
    parts = path.split(".")
    splits: list[tuple[str, Field | None]] = [(path, None)]
    splits += (
        (".".join(parts[:cut]), field_of(".".join(parts[cut:])))
        for cut in range(len(parts) - 1, 0, -1)
    )
    return Field(path, tuple(splits))


def is_text(value: Any) -> bool:
    """Tell whether a value of a rules file is a text that is not empty."""
    return isinstance(value, str) and bool(value)
