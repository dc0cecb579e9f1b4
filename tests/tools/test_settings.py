"""All files that repeat the settings are equal to the output of `scripts/settings`."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.settings import variables
from loki_shipper.subscriber.settings import variables as subscriber_variables
from loki_shipper.template import read_template
from tools.form import groups, setting_parameters
from tools.settings_page import row
from tools.template_parts import PartError, with_parts

ROOT = Path(__file__).parents[2]
TEMPLATE = (ROOT / "template.yaml").read_text("utf-8")
PARAMETERS = read_template()["Parameters"]
VARIABLES = [*(variables() | subscriber_variables())]
ROWS = [
    line.split(" | ")
    for line in (ROOT / "docs/settings.md").read_text("utf-8").splitlines()
    if line.startswith("| `")
]


def test_the_files_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([str(ROOT / "scripts/settings"), str(tmp_path)], check=True)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(map(str, written)) == [
        "docs/settings.md",
        "template.yaml",
        "terraform/parameters.tf",
    ]
    for name in written:
        assert (ROOT / name).read_text() == (tmp_path / name).read_text(), "run scripts/settings"


def test_every_parameter_has_a_row() -> None:
    named = [cells[0].strip("|` ") for cells in ROWS]
    assert [name for name in named if name in PARAMETERS] == [
        name for group in groups() for name in group.parameters
    ]
    assert {*PARAMETERS} <= {*named}


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_in_the_page(name: str) -> None:
    assert any(f"`{name}`" in cells[0] or cells[1].strip() == f"`{name}`" for cells in ROWS)


def test_a_stale_part_of_the_template_is_written_anew() -> None:
    stale = TEMPLATE.replace("          LOKI_URL: !Ref LokiUrl\n", "")
    assert stale != TEMPLATE
    assert with_parts(stale) == TEMPLATE


def test_lines_outside_the_marked_parts_stay() -> None:
    edited = TEMPLATE.replace("Globals:\n", "# By hand.\nGlobals:\n")
    assert edited != TEMPLATE
    assert with_parts(edited) == edited


@pytest.mark.parametrize(
    ("lines", "changed"),
    [
        ("# BEGIN selection (written by scripts/settings)", ""),
        ("# END selection", ""),
        ("# BEGIN selection", "# BEGIN unknown"),
    ],
    ids=["no beginning", "no end", "another name"],
)
def test_a_part_that_is_missing_or_unknown_is_an_error(lines: str, changed: str) -> None:
    with pytest.raises(PartError, match="selection"):
        with_parts(TEMPLATE.replace(lines, changed))


def test_a_setting_has_the_same_description_everywhere() -> None:
    for name, setting in setting_parameters().items():
        plain = setting.description.replace("`", "")
        assert " ".join(PARAMETERS[name]["Description"].split()) == plain
        assert plain.endswith(".")


def row_of(**parameter: Any) -> str:
    return row("Some", "", {"Type": "String", "Description": "Some\n thing.", **parameter})


@pytest.mark.parametrize(
    ("parameter", "expected"),
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
def test_a_row_says_what_the_parameter_declares(parameter: dict[str, Any], expected: str) -> None:
    assert row_of(**parameter) == f"{expected}\n"
