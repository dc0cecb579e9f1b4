"""The command line as a whole: help, version, and how it starts."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from loki_shipper import VERSION
from loki_shipper.cli import COMMANDS

type Run = Callable[..., Result]

EVENTS = Path(__file__).resolve().parents[2] / "events"


def test_help_names_every_command_on_a_line_of_its_own(run: Run) -> None:
    lines = run("--help").stdout.splitlines()
    for name in COMMANDS:
        assert sum(line.split()[:1] == [name] for line in lines) == 1


def test_version_is_the_packages_own(run: Run) -> None:
    assert run("--version").stdout == f"loki-shipper {VERSION}\n"


@pytest.mark.parametrize(
    ("word", "meant"), [("statsu", "status"), ("backfil", "backfill"), ("unlnk", "unlink")]
)
def test_a_mistyped_command_is_guessed(run: Run, word: str, meant: str) -> None:
    result = run(word, "--stack", "x")
    assert result.exit_code == 2
    assert f"No such command '{word}'. Did you mean" in result.stderr
    assert meant in result.stderr


def test_an_unknown_command_is_named(run: Run) -> None:
    result = run("ship")
    assert result.exit_code == 2
    assert "No such command 'ship'" in result.stderr


@pytest.mark.parametrize("slow", ["boto3", "requests", "rich", "google.protobuf", "moto"])
def test_help_imports_nothing_slow(slow: str) -> None:
    assert importlib.util.find_spec(slow)
    script = f"""
import sys
from loki_shipper.cli import main
try:
    main(["--help"])
except SystemExit:
    sys.exit({slow!r} in sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", ["invoke", "event"])
def test_each_commands_help_has_a_worked_example(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"\n    loki-shipper {name} " in result.stdout


@pytest.mark.parametrize("name", [[], ["invoke"], ["event"]])
def test_help_fits_80_columns(run: Run, name: list[str]) -> None:
    assert max(map(len, run(*name, "--help").stdout.splitlines())) <= 80


def test_characters_that_the_encoding_lacks_are_escaped() -> None:
    command = [sys.executable, "-c", "from loki_shipper.cli import main; main()"]
    result = subprocess.run(
        [*command, "invoke", str(EVENTS / "odd-text.json")],
        check=True,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii"},
    )
    assert rb"Gr\xfc\xdfe" in result.stdout
