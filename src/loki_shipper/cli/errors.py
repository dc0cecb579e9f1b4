"""How a command fails: one sentence on stderr that says what to do, and an exit code."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import IO, Any, override

import click


class InputError(click.ClickException):
    """Raised when what a command was given cannot be used."""

    exit_code = 2


class NotDeliveredError(click.ClickException):
    """Raised when something was not done, or Loki did not take everything."""

    exit_code = 1


class UnexpectedError(click.ClickException):
    """Raised for a fault of Loki-Shipper itself."""

    exit_code = 1


class InterruptedRunError(click.ClickException):
    """Raised after Ctrl-C; the message says what is done and how to go on."""

    exit_code = 130
    """What a shell expects of a command that Ctrl-C ended."""

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        # A terminal has written ^C into the line.
        begin = "\n" if sys.stderr.isatty() else ""
        click.echo(f"{begin}{self.format_message()}", file=file, err=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give the end of a sentence that names what a mistyped word may stand for; perhaps empty."""
    near = get_close_matches(word, known)
    return f". Did you mean {' or '.join(near)}?" if near else ""


@contextmanager
def stoppable(message: str | Callable[[], str]) -> Iterator[None]:
    """Say this when Ctrl-C ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(message if isinstance(message, str) else message()) from None
