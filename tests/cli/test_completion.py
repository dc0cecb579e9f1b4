"""The shell completes commands, options and names of log groups, and is never disturbed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result

from loki_shipper.cli import COMMANDS
from loki_shipper.local.aws import LocalAws
from tests.cli.processes import environment, silent_server

type Run = Callable[..., Result]

BIN = Path(sys.executable).parent
SHELLS = ("bash", "zsh", "fish")


def complete(*words: str, shell: str = "bash", **environ: str) -> subprocess.CompletedProcess[str]:
    """Ask as the shell's script does; the last word is not complete."""
    line = ["loki-shipper", *words]
    asked = {
        "_LOKI_SHIPPER_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    command = [sys.executable, "-c", "from loki_shipper.cli import main; main()"]
    return subprocess.run(
        command,
        env=environment({"AWS_EC2_METADATA_DISABLED": "true", **environ, **asked}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def names(completed: subprocess.CompletedProcess[str]) -> list[str]:
    assert (completed.returncode, completed.stderr) == (0, "")
    # Where there is nothing, click prints an empty line.
    return [line.partition(",")[2] for line in completed.stdout.splitlines() if line]


@pytest.fixture
def groups(aws: LocalAws) -> list[str]:
    prefix = f"/aws/lambda/{uuid4().hex}"
    made = [f"{prefix}-{name}" for name in ("cart", "checkout")]
    for name in made:
        aws.create_log_group(name, {})
    return made


def test_commands_are_completed() -> None:
    assert names(complete("pl")) == ["plan"]
    assert {*COMMANDS} <= {*names(complete(""))}
    assert names(complete("--deb")) == ["--debug"]


def test_options_are_completed() -> None:
    assert names(complete("plan", "--inc")) == ["--include"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_gets_its_form(shell: str) -> None:
    completed = complete("pl", shell=shell)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert "plan" in completed.stdout


@pytest.mark.parametrize("command", ["link", "unlink", "explain", "backfill", "tail"])
def test_log_groups_are_completed(command: str, aws: LocalAws, groups: list[str]) -> None:
    assert names(complete(command, groups[0][:30], **aws.environ)) == groups
    assert names(complete(command, groups[1][:-2], **aws.environ)) == [groups[1]]


def test_a_region_before_the_word_is_used(aws: LocalAws, groups: list[str]) -> None:
    elsewhere = complete("link", "--region", "us-west-2", groups[0][:30], **aws.environ)
    assert names(elsewhere) == []


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"AWS_REGION": "eu-west-1", "HOME": "/nowhere"}, id="no credentials"),
        pytest.param({"AWS_PROFILE": "there-is-none"}, id="no such profile"),
        pytest.param({"AWS_ENDPOINT_URL": "nonsense", "AWS_REGION": "eu-west-1"}, id="endpoint"),
        pytest.param({"AWS_REGION": "no region at all"}, id="region"),
    ],
)
def test_without_aws_completion_prints_nothing(environ: dict[str, str]) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    given = environ if "HOME" in environ else keys | environ
    assert names(complete("link", "/aws/", **given)) == []


def test_completion_does_not_wait_for_an_aws_that_does_not_answer() -> None:
    with silent_server() as server:
        environ = {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        assert names(complete("link", "/aws/", **environ)) == []
        assert server.asked.is_set()


def test_credentials_that_must_be_typed_do_not_block_the_shell(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text('[default]\nregion = eu-west-1\ncredential_process = sh -c "sleep 20"\n')
    environ = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(config)}
    assert names(complete("link", "/aws/", **environ)) == []


def test_a_command_that_cannot_be_imported_is_silent(tmp_path: Path) -> None:
    (tmp_path / "boto3.py").write_text("raise RuntimeError('broken')\n")
    completed = complete("plan", "--inc", PYTHONPATH=str(tmp_path))
    assert (completed.stdout, completed.stderr) == ("", "")


def test_bash_takes_the_script() -> None:
    script = """
source <(loki-shipper completion bash)
COMP_WORDS=(loki-shipper unl) COMP_CWORD=1
_loki_shipper_completion loki-shipper
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment({"PATH": f"{BIN}:{os.environ['PATH']}"}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("unlink\n", "")


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/loki-shipper"),
        ("zsh", ".local/share/loki-shipper/completion.zsh"),
        ("fish", ".config/fish/completions/loki-shipper.fish"),
    ],
)
def test_it_is_installed_where_the_shell_reads_it(
    run: Run, tmp_path: Path, shell: str, place: str
) -> None:
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": "", "ZDOTDIR": ""}
    for _ in range(2):
        result = run("completion", "--install", SHELL=f"/bin/{shell}", **home)
        assert result.exit_code == 0, result.output
    assert str(tmp_path / place) in result.stdout
    assert (tmp_path / place).read_text() == run("completion", shell).stdout
    if shell == "zsh":
        zshrc = (tmp_path / ".zshrc").read_text().splitlines()
        assert [line for line in zshrc if line.startswith(f"source {tmp_path / place}")]
        assert len(zshrc) == 2


def test_a_zshrc_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".zshrc").write_text("alias ll='ls -l'")
    run("completion", "zsh", "--install", HOME=str(tmp_path), ZDOTDIR="", XDG_DATA_HOME="")
    lines = (tmp_path / ".zshrc").read_text().splitlines()
    assert lines[0] == "alias ll='ls -l'"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("words", "environ", "said"),
    [
        ((), {"SHELL": "/bin/tcsh"}, "name a shell: bash, zsh, fish"),
        (("powershell",), {}, "'powershell' is not one of 'bash', 'zsh', 'fish'"),
        (("bash", "--install"), {"XDG_DATA_HOME": "/dev/null"}, "cannot be written"),
    ],
)
def test_says_what_is_wrong(
    run: Run, words: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    result = run("completion", *words, **environ)
    assert result.exit_code == 2
    assert said in result.stderr
