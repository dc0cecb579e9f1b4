"""Grafana's schema, of which its Foundation SDK is generated, knows every field of a dashboard."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

FOLDER = Path(__file__).resolve().parents[2] / "compose/grafana/dashboards"
DASHBOARDS = sorted(path.name for path in FOLDER.glob("*.json"))

NOT_IN_THE_SCHEMA = {"definition", "filters", "queryLanguage"}
"""Grafana saves these too: the text of a variable's query, the filters of an ad hoc variable, and
the language of a query of CloudWatch Logs."""


def lost(value: Any, known: Any, path: str = "") -> Iterator[str]:
    """Give the fields that the types of the SDK do not have, or have with another value."""
    match value, known:
        case dict(), dict():
            for name, each in value.items():
                if name not in NOT_IN_THE_SCHEMA:
                    yield from lost(each, known.get(name), f"{path}.{name}")
        case list(), list() if len(value) == len(known):
            for place, pair in enumerate(zip(value, known, strict=True)):
                yield from lost(*pair, f"{path}[{place}]")
        case _ if value != known:
            yield f"{path}: {value!r} is {known!r}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_field_of_a_dashboard_is_in_the_schema(name: str) -> None:
    register_default_plugins()
    saved = json.loads((FOLDER / name).read_text("utf-8"))
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(saved)))
    assert [*lost(saved, read)] == []


def test_a_field_with_a_wrong_name_is_found() -> None:
    saved = json.loads((FOLDER / DASHBOARDS[0]).read_text("utf-8"))
    saved["panels"][1]["descripton"] = "misspelled"
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(saved)))
    assert [*lost(saved, read)] == [".panels[1].descripton: 'misspelled' is None"]
