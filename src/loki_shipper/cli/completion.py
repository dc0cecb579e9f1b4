"""`loki-shipper completion`: lets the shell complete commands, options and log groups."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from loki_shipper.cli import COMPLETE, PROGRAM
from loki_shipper.cli.errors import InputError

_SHELLS: Final[Mapping[str, type[ShellComplete]]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}

_ZSH_NEEDS: Final = "(( $+functions[compdef] )) || { autoload -U compinit && compinit; }"
"""Turns completion on in zsh, unless .zshrc has done so already."""


@click.command()
@click.argument("shell", required=False, type=click.Choice([*_SHELLS]))
@click.option("--install", is_flag=True, help="Write the script to where the shell reads it.")
def completion(*, shell: str | None, install: bool) -> None:
    """Print a script that lets SHELL complete commands, options and names of log groups.

    SHELL is bash, zsh or fish; the default is your login shell. Names of log groups come from AWS,
    with --profile and --region if these stand before the name. If AWS does not answer within two
    seconds, no names are completed.

    \b
    Install it for your shell:
      loki-shipper completion --install
    \b
    Try it in this bash only:
      source <(loki-shipper completion bash)
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    chosen = shell or _login_shell()
    script = _script(chosen)
    if install:
        path = _install(chosen, script, _home(), os.environ)
        click.echo(f"written to {path}: open a new {chosen}")
    else:
        click.echo(script)


def _login_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name not in _SHELLS:
        raise InputError(f"name a shell: {', '.join(_SHELLS)}")
    return name


def _script(shell: str) -> str:
    context = click.get_current_context().find_root()
    made = _SHELLS[shell](context.command, {}, PROGRAM, COMPLETE)
    # click's own `source` starts a bash to read its version.
    return made.source_template % made.source_vars()


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise InputError("there is no home directory: set HOME") from None


def _install(shell: str, script: str, home: Path, environ: Mapping[str, str]) -> Path:
    """Write a script to where its shell reads it, and return the path. Raises InputError."""
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    paths = {
        "bash": data / "bash-completion" / "completions" / PROGRAM,
        "zsh": data / PROGRAM / "completion.zsh",
        "fish": config / "fish" / "completions" / f"{PROGRAM}.fish",
    }
    path = paths[shell]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{script}\n", "utf-8")
        if shell == "zsh":
            _sourced(Path(environ.get("ZDOTDIR") or home) / ".zshrc", path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _sourced(zshrc: Path, script: Path) -> None:
    """Make .zshrc read a script: zsh has no folder of scripts of its own."""
    line = f"source {shlex.quote(str(script))}  # {PROGRAM} completion"
    text = zshrc.read_text("utf-8") if zshrc.exists() else ""
    if line not in text.splitlines():
        before = "" if not text or text.endswith("\n") else "\n"
        with zshrc.open("a", encoding="utf-8") as file:
            file.write(f"{before}{_ZSH_NEEDS}\n{line}\n")
