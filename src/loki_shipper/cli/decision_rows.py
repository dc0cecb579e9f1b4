"""Shows what became of each tag and label, as text and for JSON."""

import json
from typing import Any

from msgspec import to_builtins
from rich.text import Text

from loki_shipper.cli.label_decisions import DecisionRow

_LEFT_OUT = "left out"
_STYLES = {"label": "green", "metadata": "yellow", "nowhere": "dim"}


def decision_text(row: DecisionRow) -> Text:
    """Return one line that says what became of a tag or label, and why."""
    became = {"label": f"label {row.name}", "metadata": f"metadata {row.name}"}.get(row.place)
    why = f"  {row.why}" if row.why else ""
    return Text.assemble(
        (f"{row.origin:<8}", "dim"),
        f" {row.key}={json.dumps(row.value, ensure_ascii=False)}  ",
        (became or _LEFT_OUT, _STYLES[row.place]),
        (why, "dim"),
    )


def decision_object(row: DecisionRow) -> dict[str, Any]:
    """Return the same for JSON."""
    became = _LEFT_OUT if row.place == "nowhere" else row.place
    return {**to_builtins(row), "place": became}
