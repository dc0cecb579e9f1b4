"""What repeats the settings is what `scripts/settings` writes."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.settings import variables
from loki_shipper.subscriber.settings import variables as subscriber_variables
from tools.settings_page import settings_page
from tools.template import Group, SourceTemplate, read_template

ROOT = Path(__file__).parents[2]
VARIABLES = [*(variables() | subscriber_variables())]
ROWS = [
    line.split(" | ")
    for line in (ROOT / "docs/settings.md").read_text("utf-8").splitlines()
    if line.startswith("| `")
]


def test_the_files_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([str(ROOT / "scripts/settings"), str(tmp_path)], check=True)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(map(str, written)) == ["docs/settings.md", "terraform/parameters.tf"]
    for name in written:
        assert (ROOT / name).read_text() == (tmp_path / name).read_text(), "run scripts/settings"


def test_every_parameter_has_a_row() -> None:
    named = [cells[0].strip("|` ") for cells in ROWS]
    assert [name for name in named if name in read_template().parameters] == [
        name for group in read_template().groups for name in group.parameters
    ]
    assert {*read_template().parameters} <= {*named}


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_in_the_page(name: str) -> None:
    assert any(f"`{name}`" in cells[0] or cells[1].strip() == f"`{name}`" for cells in ROWS)


def page_of(**parameter: Any) -> str:
    declared = {"Some": {"Type": "String", "Description": "Some\n thing.", **parameter}}
    return settings_page(SourceTemplate(declared, (Group("Title", ("Some",)),)))


@pytest.mark.parametrize(
    ("parameter", "row"),
    [
        ({}, "| `Some` | | required | Some thing. |"),
        ({"Default": ""}, "| `Some` | | | Some thing. |"),
        ({"Default": 5}, "| `Some` | | `5` | Some thing. |"),
        ({"AllowedValues": ["a", "b"]}, "| `Some` | | required | Some thing. One of `a`, `b`. |"),
        (
            {"MinValue": 1, "MaxValue": 20},
            "| `Some` | | required | Some thing. From 1 to 20. |",
        ),
        ({"Description": "a|b"}, "| `Some` | | required | a\\|b |"),
    ],
)
def test_a_row_says_what_the_parameter_declares(parameter: dict[str, Any], row: str) -> None:
    assert row in page_of(**parameter).splitlines()
