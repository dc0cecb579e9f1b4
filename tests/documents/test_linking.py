"""The README's table of the subscriber's settings is the code's declaration."""

from pathlib import Path

import pytest
from msgspec import NODEFAULT, structs

from loki_shipper.subscriber.settings import Settings, variables

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
TABLE = README.partition("<!-- linking -->\n")[2].partition("<!-- /linking -->")[0]
CELLS = [[each.strip() for each in row.strip("|").split(" | ")] for row in TABLE.splitlines()[2:]]
ROWS = {cells[0].strip("` "): cells for cells in CELLS}
DEFAULTS = {field.name.upper(): field.default for field in structs.fields(Settings)}


def test_the_table_has_every_setting_in_order() -> None:
    assert [*ROWS] == [*variables()]


@pytest.mark.parametrize("name", variables())
def test_a_row_says_what_the_declaration_says(name: str) -> None:
    variable, (_, parameter, default, meaning) = variables()[name], ROWS[name]
    assert parameter == ("" if variable.parameter is None else f"`{variable.parameter}`")
    assert meaning == variable.help
    match default:
        case "required":
            assert DEFAULTS[name] is NODEFAULT
        case "":
            assert DEFAULTS[name] in {None, (), ""}
        case text:
            assert variable.parse(text.strip("`")) == DEFAULTS[name]
