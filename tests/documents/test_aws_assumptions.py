"""Each row of docs/aws-assumptions.md has commands that exist, and all rows fit into an hour."""

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from botocore import xform_name
from botocore.session import get_session

from loki_shipper.cli import main

TEXT = (Path(__file__).parents[2] / "docs/aws-assumptions.md").read_text("utf-8")
TABLE = TEXT.split("<!-- assumptions -->")[1].split("<!-- /assumptions -->")[0]
ROWS = [
    [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    for line in TABLE.strip().splitlines()[2:]
]
OF_THE_CLI_ALONE = {("s3", "cp"), ("s3", "ls"), ("s3", "mb"), ("cloudformation", "wait")}
"""Commands of the AWS CLI that are no operation of an API."""

OF_ALL_COMMANDS = {"--query", "--output", "--profile"}


def test_the_rows_are_numbered_and_complete() -> None:
    assert [row[0] for row in ROWS] == [str(number + 1) for number in range(len(ROWS))]
    assert [row[0] for row in ROWS if len(row) != 5 or not all(row)] == []


def test_every_row_has_a_command_that_checks_it() -> None:
    commands = [row[3] for row in ROWS]
    assert [each for each in commands if not re.fullmatch(r"`[^`]+`", each)] == []
    assert [each for each in commands if not re.search(r"\b(aws|loki-shipper|say) ", each)] == []


def test_all_rows_fit_into_an_hour() -> None:
    """Others need another account (China, centralization, a hub), a stream, buckets or patience."""
    elsewhere = "Audit|In China|Canary|Centralization|Hub|Kinesis|Log files|Vended logs"
    here = [int(minutes) for _, minutes, what, *_ in ROWS if not re.match(elsewhere, what)]
    assert sum(here) <= 60


def ours() -> Iterator[tuple[str, list[str]]]:
    """Find our commands on the page, with their options."""
    for name, rest in re.findall(r"loki-shipper ([a-z]+)\b((?: [^\s;&|`]+)*)", TABLE):
        yield name, re.findall(r"--[a-z-]+", rest)


def theirs() -> Iterator[tuple[str, str, list[str]]]:
    """Find commands of the AWS CLI in the table, with their options, those in `$(…)` first."""
    for row in ROWS:
        command, nested = row[3], 1
        while nested:
            for inner in re.findall(r"\$\(([^()]*)\)", command):
                yield from _in_one(inner)
            command, nested = re.subn(r"\$\([^()]*\)", "VALUE", command)
        yield from _in_one(command)


def _in_one(command: str) -> Iterator[tuple[str, str, list[str]]]:
    for piece in re.findall(r"\baws ([a-z0-9]+ [a-z0-9-]+[^;&|`]*)", command):
        service, operation, *_ = piece.split()
        yield service, operation, re.findall(r"(?<=\s)--[a-z-]+", piece)


@pytest.mark.parametrize(("name", "options"), [*ours()])
def test_our_commands_exist_with_their_options(name: str, options: list[str]) -> None:
    assert isinstance(main, click.Group)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    known = {flag for parameter in command.params for flag in parameter.opts}
    assert [each for each in options if each not in known] == []


@cache
def operations(service: str) -> dict[str, str]:
    names = get_session().get_service_model(service).operation_names
    return {xform_name(name, "-"): name for name in names}


@pytest.mark.parametrize(("service", "operation", "options"), [*theirs()])
def test_commands_of_the_aws_cli_exist_with_their_options(
    service: str, operation: str, options: list[str]
) -> None:
    if (service, operation) in OF_THE_CLI_ALONE:
        return
    service = "s3" if service == "s3api" else service
    model = get_session().get_service_model(service)
    shape = model.operation_model(operations(service)[operation]).input_shape
    assert shape is not None
    known = {f"--{xform_name(member, '-')}" for member in shape.members} | OF_ALL_COMMANDS
    assert [each for each in options if each not in known] == []


@pytest.mark.parametrize("command", [row[3].strip("`") for row in ROWS])
def test_a_shell_reads_each_command(command: str) -> None:
    read = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, b"")
