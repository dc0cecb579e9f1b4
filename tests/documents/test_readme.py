"""The README says what the code does."""

import re
from pathlib import Path

import pytest
from msgspec import NODEFAULT, structs

from loki_shipper.cli import COMMANDS
from loki_shipper.settings import Settings, variables

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DEFAULTS = {field.name.upper(): field.default for field in structs.fields(Settings)}


def between(mark: str) -> str:
    return README.partition(f"<!-- {mark} -->\n")[2].partition(f"<!-- /{mark} -->")[0]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split(" | ")]


ROWS = {cells(row)[0].strip("` "): cells(row) for row in between("settings").splitlines()[2:]}


def test_the_table_has_every_setting_in_order() -> None:
    assert [*ROWS] == [*variables()]


@pytest.mark.parametrize("name", variables())
def test_a_row_has_the_settings_parameter_and_meaning(name: str) -> None:
    variable = variables()[name]
    _, parameter, _, meaning = ROWS[name]
    assert parameter == ("" if variable.parameter is None else f"`{variable.parameter}`")
    assert meaning == variable.help


@pytest.mark.parametrize("name", variables())
def test_a_row_has_the_settings_default(name: str) -> None:
    text, default = ROWS[name][2], DEFAULTS[name]
    match text:
        case "required":
            assert default is NODEFAULT
        case "":
            assert default in {None, ()}
        case _:
            assert variables()[name].parse(text.strip("`")) == default


def test_its_list_of_commands_is_that_of_the_help() -> None:
    named = re.findall(r"^    loki-shipper (\w+) {2,}(.+)$", README, re.MULTILINE)
    assert named == [*COMMANDS.items()]


@pytest.mark.parametrize("script", re.findall(r"\./(scripts/\w+)", README))
def test_the_scripts_that_it_names_exist(script: str) -> None:
    assert (ROOT / script).is_file()
