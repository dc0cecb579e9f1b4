"""Asks a person before a command does something that is hard to undo."""

import sys
from collections.abc import Callable

import click

_NO = 1

type ConfirmedCommand = Callable[..., None]


def yes_option(command: ConfirmedCommand) -> ConfirmedCommand:
    """Give a command the option that answers its question."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def confirm(question: str, *, yes: bool) -> None:
    """Ask a question on a terminal; the command ends with 1 unless the answer is yes.

    With `yes`, and where nobody sits at a terminal, it is not asked.
    """
    if yes or not sys.stdin.isatty():
        return
    # What is printed may be a program's.
    if not click.confirm(question, err=True):
        click.echo("nothing was changed", err=True)
        raise click.exceptions.Exit(_NO)
