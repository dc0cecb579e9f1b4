"""Every command ends well on Ctrl-C, in a closed pipe, in 60 columns and without colours."""

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from loki_shipper.cli import COMMANDS
from loki_shipper.local.receiver import run_receiver
from tests.cli.past import GROUP, Shipper, log
from tests.cli.processes import (
    Ended,
    in_closed_pipe,
    interrupted,
    on_terminal,
    read_by,
    running,
    silent_server,
)
from tests.cli.queries import found, queried
from tests.google.bucket import run_storage
from tests.local_deployment import Deployment, deployed
from tests.moto_gaps import real_event_ids
from tests.redriver.memory import failed

type Run = Callable[..., Result]

CLONE = Path(__file__).resolve().parents[2]
EVENT = str(CLONE / "events" / "skypilot.json")
COLUMNS = 60

RUN: dict[str, tuple[str, ...]] = {
    "demo": ("--for", "1s"),
    "invoke": ("--tag", "team=payments", EVENT),
    "event": ("--log-group", "/ecs/shop", "--from-file", str(CLONE / "README.md")),
    "check": ("--event", EVENT),
    "explain": (GROUP, "--stack", "STACK"),
    "tags": ("sync", "--stack", "STACK"),
    "deploy": ("--delete", "--stack", "there-is-none"),
    "plan": ("--stack", "STACK"),
    "link": ("--all", "--dry-run", "--stack", "STACK"),
    "unlink": (GROUP, "--dry-run", "--stack", "STACK"),
    "audit": (GROUP, "--stack", "STACK", "--loki", "QUERIED"),
    "status": ("--stack", "STACK"),
    "backfill": (GROUP, "--since", "2h", "--stack", "STACK"),
    "doctor": ("--loki", "http://127.0.0.1:9"),
    "tail": (GROUP, "--loki", "QUERIED", "--stack", "STACK", "--since", "1h", "--for", "1s"),
    "redrive": ("--bucket", "BUCKET", "--local-settings"),
    "google": ("redrive", "--bucket", "loki-shipper-kept", "--dry-run"),
    "completion": ("bash",),
}
"""Words with which each command prints something, and ends."""

BLOCKED: dict[str, tuple[str, ...]] = {
    "demo": ("--loki", "SILENT"),
    "invoke": ("FIFO",),
    "event": ("--log-group", "/ecs/shop", "--from-file", "FIFO"),
    "check": ("--event", "FIFO"),
    "explain": ("--event", "FIFO"),
    "tags": ("sync",),
    "deploy": (),
    "plan": (),
    "link": ("--all",),
    "unlink": ("--all",),
    "audit": (),
    "status": (),
    "backfill": (GROUP, "--since", "2h"),
    "tail": (GROUP,),
    "doctor": ("--loki", "SILENT"),
    "redrive": ("--bucket", "kept-lines"),
    "google": ("redrive", "--bucket", "kept-lines", "--dry-run"),
}
"""Words with which each command waits: for a file without an end, or for a silent server."""


@pytest.fixture(scope="module")
def here() -> Iterator[Deployment]:
    with real_event_ids(), deployed(Shipper()) as here:
        here.make_stack()
        here.group(GROUP, team="payments")
        here.group("/aws/lambda/a-name-that-is-longer-than-a-narrow-terminal-of-60-columns")
        log(here, "a", timedelta(hours=1))
        key, body = failed("09.00.00")
        here.aws.client("s3").put_object(Bucket=here.bucket, Key=key, Body=body)
        yield here


@pytest.fixture(scope="module")
def environ(here: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """AWS and a Loki on loopback; the demo finds none and shows its stand-in."""
    empty = os.fspath(tmp_path_factory.mktemp("empty"))
    line = found({"log_group": GROUP}, (time.time_ns(), "a line"))
    with run_receiver() as receiver, queried([line]) as url, run_storage() as storage:
        yield {
            "STORAGE_EMULATOR_HOST": storage,
            "QUERIED": url,
            **here.aws.environ,
            "LOKI_URL": receiver.url,
            "PATH": empty,
            "XDG_CACHE_HOME": empty,
        }


def words(command: str, here: Deployment, environ: dict[str, str]) -> list[str]:
    places = {"STACK": here.name, "BUCKET": here.bucket, "QUERIED": environ["QUERIED"]}
    return [command, *(places.get(word, word) for word in RUN[command])]


def without_loki(command: str, environ: dict[str, str]) -> dict[str, str]:
    return environ | {"LOKI_URL": ""} if command == "demo" else environ


def ended_well(ended: Ended, exit_codes: set[int]) -> None:
    said = ended.stdout + ended.stderr
    assert ended.exit_code in exit_codes, said
    for fault in ("Traceback", "BrokenPipe", "Exception ignored", "fault of Loki-Shipper"):
        assert fault not in said


def test_every_command_is_run() -> None:
    assert RUN.keys() == COMMANDS.keys()
    # What only prints a text waits for nothing.
    assert BLOCKED.keys() == COMMANDS.keys() - {"completion"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_its_work_when_the_pipe_is_closed(
    command: str, here: Deployment, environ: dict[str, str]
) -> None:
    ended = in_closed_pipe(words(command, here, environ), without_loki(command, environ))
    ended_well(ended, {1} if command == "doctor" else {0})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_narrow_terminal_without_colours_is_fine(
    command: str, here: Deployment, environ: dict[str, str]
) -> None:
    given = {"TERM": "xterm", "NO_COLOR": "1", **without_loki(command, environ)}
    ended = on_terminal(words(command, here, environ), COLUMNS, given)
    ended_well(ended, {1} if command == "doctor" else {0})
    assert ended.stdout.strip()
    styles = re.findall(r"\x1b\[([\d;]*)m", ended.stdout)
    assert {style for each in styles for style in each.split(";")} <= {"", "0", "1", "2"}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "demo"])
def test_a_pipe_gets_no_escape_codes(
    command: str, here: Deployment, environ: dict[str, str], run: Run
) -> None:
    # The demo needs a process of its own, as moto's state belongs to one: see test_demo.py.
    given = {name: value for name, value in environ.items() if name != "PATH"}
    result = run(*words(command, here, environ), **given)
    assert result.exit_code in {0, 1}, result.output
    assert result.stdout
    assert "\x1b" not in result.output


@pytest.mark.parametrize("command", ["status", "backfill", "doctor"])
def test_a_dumb_terminal_gets_no_escape_codes(
    command: str, here: Deployment, environ: dict[str, str]
) -> None:
    ended = on_terminal(words(command, here, environ), COLUMNS, {"TERM": "dumb", **environ})
    ended_well(ended, {1} if command == "doctor" else {0})
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize("command", BLOCKED)
def test_ctrl_c_ends_a_command_in_one_sentence(command: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with silent_server() as server:
        given = {"FIFO": str(fifo), "SILENT": server.url}
        environ = {
            "AWS_ENDPOINT_URL": server.url,
            "STORAGE_EMULATOR_HOST": server.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
        }
        blocked = [command, *(given.get(word, word) for word in BLOCKED[command])]
        with running(blocked, environ) as process:
            if str(fifo) in blocked:
                with read_by(fifo):
                    ended = interrupted(process)
            else:
                assert server.asked.wait(60), process.communicate()
                ended = interrupted(process)
    ended_well(ended, {130})
    assert ended.stderr.strip().startswith("stopped")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_fits_60_columns(command: str) -> None:
    ended = on_terminal([command, "--help"], COLUMNS, {})
    assert ended.exit_code == 0
    for paragraph in ended.stdout.split("\n\n"):
        # An example is to be copied, so it is not folded.
        if "\n    loki-shipper " not in paragraph:
            assert max(map(len, paragraph.splitlines())) <= COLUMNS, paragraph
