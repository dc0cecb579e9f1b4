"""Adds to moto's Logs Insights what it lacks: `filter ispresent`, `stats sum` and `bin(1h)`.

Moto reads the fields @timestamp and @message only. Logs Insights also finds the members of lines
that are JSON, such as `hourly.hour`
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html).
Any other query is an error, as this knows only what is written here.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from moto.logs import models

HOUR_MS = 3_600_000


@contextmanager
def insights(*, most: int = 10_000) -> Iterator[list[str]]:
    """Let moto answer such queries, with so many rows at most; gives the queries."""
    queries: list[str] = []
    module: Any = models
    original = module.execute_query

    def execute(
        log_groups: list[Any], query: str, start_time: int, end_time: int
    ) -> list[dict[str, str]]:
        queries.append(query)
        events = [
            event
            for group in log_groups
            for stream in group.streams.values()
            for event in stream.events
            if start_time * 1000 <= event.timestamp < (end_time + 1) * 1000
        ]
        return _run(query, events)[:most]

    module.execute_query = execute
    try:
        yield queries
    finally:
        module.execute_query = original


def _run(query: str, events: list[Any]) -> list[dict[str, str]]:
    condition, command = query.split(" | ")
    python = re.sub(r"ispresent\(([\w.]+)\)", r"('\1' in fields)", condition.removeprefix("filter"))
    lines = []
    for event in events:
        fields = _fields(event)
        if eval(python.strip(), {"fields": fields}):
            lines.append(fields)
    if command == "fields @message":
        return [{"@message": line["@message"], "@ptr": "x"} for line in lines]
    match = re.fullmatch(r"stats (.+) by ([\w., ()]+)", command)
    assert match is not None, command
    return _stats(match[1], match[2].split(", "), lines)


def _stats(wanted: str, by: list[str], lines: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    sums = re.findall(r"sum\(([\w.]+)\) as (\w+)", wanted)
    assert wanted == ", ".join(f"sum({field}) as {name}" for field, name in sums)
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in lines:
        key = tuple(str(line[name]) for name in by)
        row = rows.setdefault(key, dict(zip(by, key, strict=True)))
        for field, name in sums:
            if field in line:
                row[name] = row.get(name, 0) + line[field]
    return [{name: str(value) for name, value in row.items()} for row in rows.values()]


def _fields(event: Any) -> dict[str, Any]:
    hour = datetime.fromtimestamp(event.timestamp // HOUR_MS * 3600, UTC)
    fields = {"@message": event.message, "bin(1h)": f"{hour:%Y-%m-%d %H:%M:%S}.000"}
    with suppress(ValueError):
        fields |= _flat(json.loads(event.message), "")
    return fields


def _flat(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, member in value.items():
        found |= _flat(member, f"{prefix}.{name}" if prefix else name)
    return found
