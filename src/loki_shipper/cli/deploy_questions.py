"""Asks for the parameters that `loki-shipper deploy` needs and you did not give."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from loki_shipper.cli.errors import InputError
from loki_shipper.deployment.parameters import faults, missing
from loki_shipper.deployment.secret import Credentials, Password, Token


def ask_for_missing(
    declared: Mapping[str, Any],
    previous: Mapping[str, str],
    chosen: dict[str, str],
    *,
    asks: bool,
) -> Credentials | None:
    """Put the answers into `chosen`, and return credentials to store in Secrets Manager, or None.

    Raises InputError if a parameter is missing and `asks` is False.
    """
    without = missing(declared, previous, chosen)
    if without and not asks:
        raise InputError(
            f"the stack needs {', '.join(without)}: give --loki-url, or --set KEY=VALUE"
        )
    for name in without:
        chosen[name] = click.prompt(
            "URL of Loki, such as https://logs-prod-012.grafana.net",
            value_proc=partial(_valid, declared, name),
            err=True,
        )
    if not asks or previous or "LokiSecret" in chosen:
        return None
    click.echo("How does the shipper log in to Loki?", err=True)
    for key, what in (
        ("none", "Loki asks for no credentials"),
        ("name", "the credentials are in Secrets Manager or SSM: give their name"),
        ("password", "with a user and a password: store them in Secrets Manager"),
        ("token", "with a token: store it in Secrets Manager"),
    ):
        click.echo(f"  {key:<10}{what}", err=True)
    choices = click.Choice(["none", "name", "password", "token"])
    match click.prompt("Credentials", type=choices, default="none", err=True):
        case "name":
            chosen["LokiSecret"] = click.prompt(
                "ARN of the secret, or name of the SSM parameter",
                value_proc=partial(_valid, declared, "LokiSecret"),
                err=True,
            )
        case "password":
            user = click.prompt("User (of Grafana Cloud: a number)", err=True)
            return Password(user, click.prompt("Password", hide_input=True, err=True))
        case "token":
            return Token(click.prompt("Token", hide_input=True, err=True))
    return None


def _valid(declared: Mapping[str, Any], name: str, value: str) -> str:
    if wrong := faults(declared, {name: value.strip()}):
        raise click.UsageError("\n".join(wrong))
    return value.strip()
