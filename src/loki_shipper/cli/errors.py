"""How a command fails: one sentence on stderr that says what to do, and an exit code."""

import click


class InputError(click.ClickException):
    """Raised when what a command was given cannot be used."""

    exit_code = 2


class NotDeliveredError(click.ClickException):
    """Raised when Loki did not take everything."""

    exit_code = 1
