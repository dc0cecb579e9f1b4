"""What `loki-shipper deploy` asks a person at a terminal, and what it does with the answers."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from tests.deployment.account import Account
from tests.deployment.cloudformation import run_cloudformation

COMMAND = [sys.executable, "-c", "from loki_shipper.cli import main; main()", "deploy"]
LONGEST_SECONDS = 60.0


class Terminal:
    """A command at a terminal: `answers` waits for a question, and types."""

    def __init__(self, words: list[str], environ: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            words, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""
        self._read = 0

    def answer(self, question: str, text: str) -> None:
        """Wait until a question is asked, and type the answer."""
        until = time.monotonic() + LONGEST_SECONDS
        while question not in self.shown[self._read :]:
            assert self._more(until), f"{question!r} was not asked:\n{self.shown}"
        self._read = len(self.shown)
        os.write(self._ours, f"{text}\n".encode())

    def end(self) -> int:
        """Wait until the command has ended; return its exit code."""
        until = time.monotonic() + LONGEST_SECONDS
        while self._more(until):
            pass
        os.close(self._ours)
        return self._process.wait(timeout=LONGEST_SECONDS)

    def _more(self, until: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(0.0, until - time.monotonic()))
        try:
            read = os.read(self._ours, 65536) if ready else b""
        except OSError:
            # Linux says so of a terminal that nobody holds any more.
            read = b""
        self.shown += read.decode(errors="replace")
        return bool(read)


@pytest.fixture
def account(aws: LocalAws) -> Iterator[Account]:
    with run_cloudformation(aws) as cloudformation:
        yield Account(aws, cloudformation)


def start(account: Account, *words: str) -> Terminal:
    ours = re.compile(r"AWS_|LOKI_|GRAFANA")
    kept = {name: value for name, value in os.environ.items() if not ours.match(name)}
    environ = {**kept, **account.variables, "TERM": "dumb", "COLUMNS": "200"}
    return Terminal([*COMMAND, *words], environ)


def secrets(account: Account) -> dict[str, Any]:
    client = account.aws.client("secretsmanager")
    names = [each["Name"] for each in client.list_secrets()["SecretList"]]
    return {
        name: json.loads(client.get_secret_value(SecretId=name)["SecretString"]) for name in names
    }


def test_asks_for_missing_values_stores_credentials_and_asks_once(
    account: Account, loki: Loki | Running, tenant: str
) -> None:
    terminal = start(account, "--set", f"LokiTenant={tenant}")
    terminal.answer("URL of Loki", "loki.example")
    terminal.answer("must start with http:// or https://", loki.url)
    terminal.answer("Credentials (none, name, password, token)", "password")
    terminal.answer("User", "12")
    terminal.answer("Password", "geheim")
    terminal.answer("Deploy this? [y/N]", "y")
    assert terminal.end() == 0, terminal.shown
    assert "stores" in terminal.shown
    assert "geheim" not in terminal.shown
    assert secrets(account) == {"loki-shipper/loki": {"username": "12", "password": "geheim"}}
    stack = account.cloudformation.stacks["loki-shipper"]
    assert ":secret:loki-shipper/loki" in stack.parameters["LokiSecret"]
    assert "geheim" not in json.dumps([stack.parameters, stack.template])
    assert "Loki gave it back." in terminal.shown


def test_the_answer_no_changes_nothing(account: Account) -> None:
    before = account.buckets()
    terminal = start(account, "--loki-url", "http://loki.example")
    terminal.answer("Credentials (none, name, password, token)", "token")
    terminal.answer("Token", "geheim")
    terminal.answer("Deploy this? [y/N]", "n")
    assert terminal.end() == 1
    assert "nothing was changed" in terminal.shown
    assert not account.cloudformation.changes
    assert not secrets(account)
    assert account.buckets() == before


def test_a_secret_can_be_given_by_name(account: Account) -> None:
    terminal = start(account, "--loki-url", "http://loki.example", "--dry-run")
    terminal.answer("Credentials (none, name, password, token)", "name")
    terminal.answer("ARN of the secret, or name of the SSM parameter", "/loki/shipper")
    assert terminal.end() == 0
    assert re.search(r"LokiSecret +/loki/shipper", terminal.shown)


def test_a_deletion_is_confirmed_first(account: Account, loki: Loki | Running, tenant: str) -> None:
    account.run("--loki-url", loki.url, "--set", f"LokiTenant={tenant}", "--yes")
    terminal = start(account, "--delete")
    terminal.answer("Delete the stack loki-shipper? [y/N]", "n")
    assert terminal.end() == 1
    assert "loki-shipper" in account.cloudformation.stacks
