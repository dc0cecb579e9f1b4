"""Ends a command with one sentence on stderr that says what to do, and an exit code."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import IO, Any, override

import click

from loki_shipper.environment import SettingsError


class InputError(click.ClickException):
    """Raised when a command cannot use what you gave it."""

    exit_code = 2


class NotDeliveredError(click.ClickException):
    """Raised when a command could not do everything, or Loki did not take every line."""

    exit_code = 1


class UnexpectedError(click.ClickException):
    """Raised for a fault of Loki-Shipper itself."""

    exit_code = 1


class InterruptedRunError(click.ClickException):
    """Raised after Ctrl-C; the message says what is done and how to go on."""

    exit_code = 130
    """The exit code that shells expect after Ctrl-C."""

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        # An object that Ctrl-C interrupted in its __init__ may fail in __del__, with a traceback.
        sys.unraisablehook = lambda _: None
        # The terminal has written ^C into the line.
        begin = "\n" if sys.stderr.isatty() else ""
        click.echo(f"{begin}{self.format_message()}", file=file, err=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests known words for a mistyped one, or ""."""
    near = get_close_matches(word, known)
    return f". Did you mean {' or '.join(near)}?" if near else ""


@contextmanager
def settings_errors(source: str) -> Iterator[None]:
    """Raise InputError for a SettingsError in the block; `source` names what to correct."""
    try:
        yield
    except SettingsError as error:
        raise InputError(f"correct {source}: {error}") from None


@contextmanager
def stoppable(message: str | Callable[[], str]) -> Iterator[None]:
    """End the command with this message when Ctrl-C stops the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(message if isinstance(message, str) else message()) from None
