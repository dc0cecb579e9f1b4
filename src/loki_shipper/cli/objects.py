"""What every command prints for `--json`: one list of objects, as docs/json.md describes them."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click


def print_objects(objects: Iterable[Mapping[str, Any]]) -> None:
    """Print objects as one JSON list."""
    click.echo(json.dumps(list(objects), indent=2, ensure_ascii=False))


def time_text(ms: int) -> str:
    """Write a time in ms since 1970 as `2026-11-20T10:30:00.000Z`."""
    time = datetime.fromtimestamp(ms / 1000, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
