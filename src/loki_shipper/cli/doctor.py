"""`loki-shipper doctor`: what is wrong between here and Loki, and what to do about it."""

import os
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import boto3
import click
from botocore.exceptions import BotoCoreError
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loki_shipper.cli.errors import InputError
from loki_shipper.cli.objects import print_objects
from loki_shipper.doctor.finding import Finding, Level, green, red, yellow
from loki_shipper.doctor.loki import check_loki
from loki_shipper.doctor.stack import (
    Clients,
    Function,
    NoStackError,
    check_stack,
    functions_of,
    shipper,
)
from loki_shipper.doctor.way import way
from loki_shipper.settings import Settings, SettingsError, settings
from loki_shipper.shipper import aws
from loki_shipper.shipper.credentials import credentials
from loki_shipper.shipper.push import Access

_WORDS = {Level.GREEN: "ok", Level.YELLOW: "look", Level.RED: "wrong"}
_FROM_HERE = {"dns", "tcp", "tls", "write"}
"""Checks that fail here where only the function's network reaches Loki."""

_ENDLESS = 100_000


@click.command()
@click.option("--loki", metavar="URL", help="Loki's URL.  [default: the function's, or LOKI_URL]")
@click.option("--stack", metavar="NAME", help="Check this stack, too.")
@click.option("--function", metavar="ARN", help="Check this shipper, too: its name or ARN.")
@click.option("--profile", metavar="NAME", help="AWS profile.")
@click.option("--region", metavar="NAME", help="AWS Region.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(  # noqa: PLR0913 - each is an option
    *,
    loki: str | None,
    stack: str | None,
    function: str | None,
    profile: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Say what is wrong between here and Loki, and what to do about it.

    Pushes a line of its own to Loki, under service_name="loki-shipper-doctor", and reads it back.
    Of a stack it also looks at functions, rights, bucket, filters and tag index, and lets the
    function ship a line. Settings are the function's, else the environment's.

    \b
    Before anything is deployed, then after:
      loki-shipper doctor --loki https://loki.example
      loki-shipper doctor --stack loki-shipper

    Exits with 0 when nothing is wrong, with 1 when something is, with 2 when called wrongly.
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if stack is not None and function is not None:
        raise InputError("give --stack or --function, not both")
    if profile is not None or region is not None or stack is not None or function is not None:
        _use(profile, region)
    found = _findings(loki, stack, function)
    if as_json:
        findings = list(found)
        print_objects(map(_as_object, findings))
    else:
        findings = list(_shown(found))
    if any(finding.level is Level.RED for finding in findings):
        sys.exit(1)


def _use(profile: str | None, region: str | None) -> None:
    try:
        boto3.setup_default_session(profile_name=profile, region_name=region)
    except BotoCoreError as error:
        raise InputError(f"{error}: correct --profile") from None


def _findings(loki: str | None, stack: str | None, function: str | None) -> Iterator[Finding]:
    deployed = _deployed(stack, function)
    environ = {**(deployed[0].environ if deployed else os.environ)}
    if loki is not None:
        environ["LOKI_URL"] = loki
    try:
        configured = settings(environ)
        yield green("settings", configured.loki_url)
    except SettingsError as error:
        yield red("settings", str(error), "correct them" if deployed else "see docs/settings.md")
        return
    yield from _of_loki(configured, deployed)
    if deployed:
        clients = _clients()
        yield from check_stack(deployed, configured, clients, now=datetime.now(UTC))


def _deployed(stack: str | None, function: str | None) -> list[Function]:
    try:
        if stack is not None:
            return functions_of(stack, _clients())
        if function is not None:
            return [shipper(function, _clients())]
    except NoStackError as error:
        raise InputError(
            f"{error}: check --stack or --function, --region, and your rights"
        ) from None
    except BotoCoreError as error:
        raise InputError(f"AWS is not to be reached as you: {error}") from None
    return []


def _clients() -> Clients:
    names = ("cloudformation", "lambda", "iam", "logs", "s3")
    return Clients(*(boto3.client(name) for name in names))  # type: ignore[call-overload] # of a name not known here


def _of_loki(configured: Settings, deployed: list[Function]) -> Iterator[Finding]:
    try:
        access = credentials(configured, aws.fetch_secret)
    except (SettingsError, BotoCoreError) as error:
        says = str(error) if isinstance(error, SettingsError) else type(error).__name__
        if deployed:
            advice = "fine if only the function may read it: `iam` and `ship` below tell"
            yield yellow("secret", f"not readable as you: {says}", advice)
        else:
            yield red("secret", says, "check its name, --region, and your right to read it")
        return
    if clear := _in_the_clear(access):
        yield clear
    hidden = any(function.in_vpc for function in deployed)
    name = uuid.uuid4().hex
    for finding in check_loki(configured, way(access, configured.loki_tenant), name):
        if hidden and finding.level is Level.RED and finding.check in _FROM_HERE:
            advice = "the function is in a VPC, and may reach it: `ship` below tells"
            yield replace(finding, level=Level.YELLOW, advice=advice)
        else:
            yield finding


def _in_the_clear(access: Access) -> Finding | None:
    if access.headers and access.url.startswith("http:"):
        return yellow("secret", "credentials travel over http, unencrypted", "use https")
    return green("secret", "readable") if access.headers else None


def _shown(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print each finding as it comes."""
    # In a pipe nothing is folded.
    width = None if sys.stdout.isatty() else _ENDLESS
    console = Console(highlight=False, width=width)
    counts = dict.fromkeys(Level, 0)
    for finding in findings:
        counts[finding.level] += 1
        console.print(*_rows(finding))
        yield finding
    console.print(_sum(counts))


def _as_object(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": _WORDS[finding.level],
        "says": finding.says,
        "advice": finding.advice,
    }


def _rows(finding: Finding) -> Iterator[Table]:
    yield _row(Text(_WORDS[finding.level], f"bold {finding.level}"), finding.check, finding.says)
    if finding.advice:
        yield _row(Text(), "", finding.advice)


def _row(word: Text, check: str, text: str) -> Table:
    """Put a word and a check before a text; where the text is folded, it stays in its column."""
    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(no_wrap=True, min_width=5)
    row.add_column(no_wrap=True, min_width=10)
    row.add_column(overflow="fold")
    row.add_row(word, check, Text(text))
    return row


def _sum(counts: Mapping[Level, int]) -> Text:
    parts = [f"{counts[level]} {word}" for level, word in _WORDS.items()]
    worst = next(level for level in reversed(Level) if counts[level] or level is Level.GREEN)
    return Text(", ".join(parts), style=f"bold {worst}")
