"""The README agrees with the code."""

import re
from pathlib import Path

import pytest

from loki_shipper.cli import COMMANDS
from loki_shipper.deployment.parameters import missing
from loki_shipper.template import read_template

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_its_list_of_commands_is_that_of_the_help() -> None:
    named = re.findall(r"^    loki-shipper (\w+) {2,}(.+)$", README, re.MULTILINE)
    assert named == [*COMMANDS.items()]


@pytest.mark.parametrize("script", re.findall(r"\./(scripts/\w+)", README))
def test_the_scripts_that_it_names_exist(script: str) -> None:
    assert (ROOT / script).is_file()


def test_it_names_every_parameter_that_needs_a_value() -> None:
    assert missing(read_template()["Parameters"], {}, {}) == ["LokiUrl"]
    assert "`LokiUrl` is the\nonly one that you must set" in README


def test_its_costs_are_those_of_the_page_on_costs() -> None:
    page = (ROOT / "docs/cost.md").read_text("utf-8")
    [volumes] = re.findall(r"^\| GB of lines a month \| (.+) \|$", page, re.MULTILINE)
    [totals] = re.findall(r"^\| \*\*total\*\* \| (.+) \|$", page, re.MULTILINE)
    costs = [round(float(total.strip("*"))) for total in totals.split(" | ")]
    small, medium, large = zip(volumes.split(" | "), costs, strict=True)
    assert (
        f"about ${small[1]} a month for {small[0]} GB of lines, ${medium[1]} for {medium[0]} GB "
        f"and ${large[1]} for {large[0]} GB"
    ) in README
