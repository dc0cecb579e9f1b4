"""Exit codes are the same for every command: 0, 1, 2, and 130 (tests/cli/test_everywhere.py)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from loki_shipper.cli import COMMANDS, EXIT_CODES
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from tests.cli.faulty_aws import faulty
from tests.local_deployment import Deployment, deployed

type Run = Callable[..., Result]

EVERY = [[name] for name in COMMANDS] + [["tags", "sync"]]
EVENT = str(Path(__file__).resolve().parents[2] / "events" / "lambda.json")
OPENING = 2
"""Requests that find a deployment: its resources, and its one function."""


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        here.make_stack()
        here.group("/aws/lambda/a")
        yield here


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_0_and_the_help_of_each_command_says_which_there_are(run: Run, words: list[str]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert EXIT_CODES in " ".join(result.stdout.split())


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_2_when_a_command_is_called_wrongly(run: Run, words: list[str]) -> None:
    result = run(*words, "--there-is-no-such-option")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: No such option" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["plan"],
        ["link", "--all"],
        ["link", "/aws/lambda/a"],
        ["unlink", "--all"],
        ["unlink", "/aws/lambda/a"],
        ["status"],
        ["explain", "/aws/lambda/a"],
        ["backfill", "/aws/lambda/a", "--since", "1d"],
        ["tags", "sync"],
    ],
    ids=" ".join,
)
def test_1_when_aws_is_lost_on_the_way(here: Deployment, words: list[str]) -> None:
    requests = []

    def is_lost() -> bool:
        requests.append(1)
        return len(requests) > OPENING

    with faulty(here.aws.url, is_lost, "lost") as url:
        result = here.run(*words, AWS_ENDPOINT_URL=url)
    assert result.exit_code == 1, result.output
    assert "check your connection" in result.stderr


def test_1_when_settings_or_rules_are_wrong(run: Run) -> None:
    assert run("check", MAX_LABELS="many").exit_code == 1


def test_1_when_loki_does_not_take_a_line(run: Run, receiver: Receiver) -> None:
    receiver.script([ScriptedAnswer(status=401)] * 9)
    assert run("invoke", EVENT, "--loki", receiver.url).exit_code == 1


def test_1_when_something_is_wrong_with_loki(run: Run) -> None:
    assert run("doctor", "--loki", "http://127.0.0.1:9").exit_code == 1
