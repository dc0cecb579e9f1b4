"""`loki-shipper demo` ships lines to any Loki that it finds, and leaves nothing behind."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import requests

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.settings import variables
from tests.cli.processes import COMMAND

# A process of its own, as moto's state belongs to a process.
DEMO = [*COMMAND, "demo"]
ENVIRON = {name: value for name, value in os.environ.items() if name not in variables()}


def demo(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *options],
        env=ENVIRON | environ,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )


def test_loki_holds_every_line_that_was_logged(loki: Loki | Running, tenant: str) -> None:
    shown = demo("--for", "2", "--loki", loki.url, LOKI_TENANT=tenant)
    assert (shown.returncode, shown.stderr) == (0, "")
    counts = re.search(r"^(\d+) lines logged, (\d+) lines held$", shown.stdout, re.MULTILINE)
    assert counts
    assert counts[1] == counts[2] == "19"
    assert '{driver="python", region="eu-central-1", name=~"fun.*"}' in shown.stdout
    for line in ('owner="shop"', 'owner="finance"', "order 1001: paid", '"page written"'):
        assert line in shown.stdout
    assert "\x1b" not in shown.stdout


def test_without_a_loki_a_stand_in_shows_the_lines_and_says_so(tmp_path: Path) -> None:
    shown = demo("--for", "1s", PATH=os.fspath(tmp_path), XDG_CACHE_HOME=os.fspath(tmp_path))
    assert shown.returncode == 0
    assert "a stand-in that decodes pushes" in shown.stdout
    assert "No Loki found, and no `go` on PATH. Put a `loki` executable on" in shown.stdout
    assert "10 lines logged, 10 lines held" in shown.stdout


def test_a_loki_that_does_not_answer_is_reported_at_once() -> None:
    shown = demo("--loki", "http://127.0.0.1:1")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "Error: Loki does not answer: ConnectionError\n"


def test_a_loki_that_requires_a_tenant_is_reported(loki: Loki | Running) -> None:
    shown = demo("--loki", loki.url)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "401: no org id" in shown.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--loki", "localhost:3100"), "LOKI_URL must start with http"),
        (("--for", "0s"), "'0s' is not a time from 1s to 5m"),
        (("--for", "1h"), "'1h' is not a time from 1s to 5m"),
        (("--for", "6m"), "'6m' is not a time from 1s to 5m"),
    ],
)
def test_wrong_options_are_named(options: tuple[str, str], words: str) -> None:
    shown = demo(*options)
    assert shown.returncode == 2
    assert words in shown.stderr


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_loki_is_kept_until_it_is_stopped(loki: object, by: signal.Signals) -> None:
    assert loki
    with subprocess.Popen(
        [*DEMO, "--for", "1s", "--keep"],
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if "stays up until Ctrl-C" in line:
                break
        url = process.stdout.readline().strip()
        assert requests.get(f"{url}/ready", timeout=10).ok
        process.send_signal(by)
        try:
            assert process.wait(60) in {0, 128 + signal.SIGTERM}
        finally:
            process.kill()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/ready", timeout=5)
