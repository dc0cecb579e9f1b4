"""The README says what the code does."""

import re
from pathlib import Path

import pytest

from loki_shipper.cli import COMMANDS
from tools.template import read_template

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_its_list_of_commands_is_that_of_the_help() -> None:
    named = re.findall(r"^    loki-shipper (\w+) {2,}(.+)$", README, re.MULTILINE)
    assert named == [*COMMANDS.items()]


@pytest.mark.parametrize("script", re.findall(r"\./(scripts/\w+)", README))
def test_the_scripts_that_it_names_exist(script: str) -> None:
    assert (ROOT / script).is_file()


def test_it_names_every_parameter_that_has_no_default() -> None:
    parameters = read_template().parameters
    required = [name for name, each in parameters.items() if "Default" not in each]
    assert required == ["LokiUrl"]
    assert "`LokiUrl` is the only one that you must\nset" in README
