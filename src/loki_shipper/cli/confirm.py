"""Asks before a command does something that is hard to undo."""

import sys
from typing import Final

import click

_NO: Final = 1

yes_option: Final = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask a question on a terminal, and end the command with 1 unless the answer is yes.

    With `yes`, or without a terminal, it does not ask.
    """
    if yes or not sys.stdin.isatty():
        return
    # A program may read stdout.
    if not click.confirm(question, err=True):
        click.echo("nothing was changed", err=True)
        raise click.exceptions.Exit(_NO)
