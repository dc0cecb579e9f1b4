"""Every `loki-shipper` command that the documents show does what it says, as it stands there."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner

from loki_shipper.cli import main
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from tests.cli.log_files import BUCKET, log_files_stack
from tests.local_deployment import Deployment, Skipping

CLONE = Path(__file__).resolve().parents[2]
DOCUMENTS = [CLONE / "README.md", CLONE / "compose" / "README.md", *CLONE.glob("docs/*.md")]
GROUPS = ("/aws/lambda/checkout", "/aws/lambda/chatty", "/ecs/checkout")
KEY = "AWSLogs/123456789012/elasticloadbalancing/eu-central-1/2026/11/20/x.log.gz"
OF_A_STACK = r"loki-shipper (plan|link|unlink|audit|status|backfill|explain)\b"
RULES = '[[rule]]\ndrop = "health check"\n'


def shown() -> Iterator[str]:
    """Find the commands in code blocks; two spaces or more begin a remark.

    Those of `loki-shipper google` need Google Cloud: tests/cli/test_google.py runs them.
    """
    for document in DOCUMENTS:
        for line in document.read_text().splitlines():
            match = re.match(r"    (loki-shipper (?!google )\w+(?: \S+)+)(?: {2,}.*)?$", line)
            if match is not None:
                yield match[1]


COMMANDS = sorted(set(shown()))


@pytest.fixture(scope="module")
def stack() -> Iterator[Deployment]:
    with log_files_stack(BUCKET) as made:
        for name in GROUPS:
            made.here.aws.create_log_group(name, {"team": "payments"})
        made.put(KEY)
        yield made.here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events").symlink_to(CLONE / "events")
    (tmp_path / "app.log").write_text("one\ntwo\n")
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 12


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_documents_succeeds(
    command: str, stack: Deployment, folder: Path, loki: Loki | Running, tenant: str
) -> None:
    here = re.sub(OF_A_STACK, rf"\g<0> --stack {stack.name}", command)
    if command.startswith("loki-shipper deploy"):
        # What it does is shown in tests/deployment; here, that it is a command.
        here += " --dry-run" + ("" if "--loki-url" in here else f" --loki-url {loki.url}")
    if command.startswith("loki-shipper redrive") and "--bucket" not in here:
        here += f" --function {stack.shipper}"
    here = here.replace("NAME", stack.bucket).replace("http://127.0.0.1:3100", loki.url)
    here = here.replace("REDRIVER", stack.shipper)
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LOKI_URL": loki.url,
        "LOKI_TENANT": tenant,
        **stack.aws.environ,
    }
    run = _run_at_once if re.match(OF_A_STACK, command) else _run_in_a_shell
    run(here, folder, environ)


def _run_at_once(command: str, folder: Path, environ: Mapping[str, str]) -> None:
    """Run a command in this process, without its waits for AWS."""
    with chdir(folder):
        done = CliRunner().invoke(
            main, shlex.split(command)[1:], env=environ, obj=Skipping().clock, color=False
        )
    assert done.exit_code == 0, done.output
    assert done.stdout


def _run_in_a_shell(command: str, folder: Path, environ: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
