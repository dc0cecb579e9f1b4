"""Shows the explanation of a log file as text and for JSON."""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import to_builtins
from rich.text import Text

from loki_shipper.cli.decision_rows import decision_object, decision_text
from loki_shipper.cli.explain_log_file import ExplainedLogFile
from loki_shipper.cli.formatting import control_escapes, size_text, time_text
from loki_shipper.cli.label_decisions import Explained, changes
from loki_shipper.cli.object_name import SCHEME
from loki_shipper.shipper.delivery.encode import label_set

_INDENT: Final = " " * 10
_ESCAPES: Final = control_escapes("\\n") | {ord("\t"): "\\t"}


def log_file_lines(file: ExplainedLogFile, labels: Explained | None) -> Iterator[Text]:
    """Return the lines to print."""
    found = file.found
    yield Text(_name(file), style="bold")
    facts = [f"{file.type}: {file.why}"] if file.type else []
    if found.size is not None and found.written is not None:
        facts += [size_text(found.size), f"written {time_text(found.written)}"]
    if facts:
        yield Text(", ".join(facts))
    if file.not_shipped is not None:
        yield Text(f"not shipped: {file.not_shipped}", style="yellow")
    if labels is None:
        return
    for row in labels.rows:
        yield decision_text(row)
    if labels.tenant is not None:
        yield Text(f"tenant    {labels.tenant}")
    for number, pair in enumerate(labels.metadata):
        title = "metadata" if number == 0 else ""
        yield Text.assemble((f"{title:<10}", "dim"), _escaped(label_set((pair,))[1:-1]))
    for number, line in enumerate(file.lines):
        title = "lines" if number == 0 else ""
        yield Text.assemble(
            (f"{title:<10}", "dim"), (time_text(line.time), "cyan"), f"  {_escaped(line.line)}"
        )
        if own := tuple(pair for pair in line.metadata if pair not in labels.metadata):
            yield Text(f"{_INDENT}{_escaped(label_set(own))}", style="dim")
    for name, count in file.dropped.items():
        yield Text(f"{_INDENT}{name} drops {count:,} of the first lines")


def log_file_object(
    file: ExplainedLogFile, labels: Explained | None, then: Explained | None
) -> dict[str, Any]:
    """Return everything as one JSON object; `then` has the labels with other settings."""
    found = file.found
    return {
        "object": _name(file),
        "bytes": found.size,
        "written": None if found.size is None else time_text(found.written or 0),
        "type": file.type or None,
        "why": file.why or None,
        "not_shipped": file.not_shipped,
        "tenant": None if labels is None else labels.tenant,
        "labels": {} if labels is None else dict(labels.labels),
        "metadata": {} if labels is None else dict(labels.metadata),
        "rows": [] if labels is None else [decision_object(row) for row in labels.rows],
        "changes": to_builtins(list(changes(labels, then))) if labels and then else None,
        "lines": [
            {"time": time_text(line.time), "line": line.line, "metadata": dict(line.metadata)}
            for line in file.lines
        ],
    }


def _name(file: ExplainedLogFile) -> str:
    return f"{SCHEME}{file.found.bucket}/{file.found.key}"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
