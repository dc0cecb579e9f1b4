"""Prints the `--json` output of every command: one list of objects, as in docs/json.md."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click


def print_objects(objects: Iterable[Mapping[str, Any]]) -> None:
    """Print objects as one JSON list."""
    click.echo(json.dumps(list(objects), indent=2, ensure_ascii=False))
