"""`loki-shipper doctor`: finds what is wrong between here and Loki, and says what to do."""

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
from botocore.exceptions import BotoCoreError
from msgspec.structs import replace
from rich.table import Table
from rich.text import Text

from loki_shipper.cli.aws import CommandSession, aws_errors, open_session
from loki_shipper.cli.console import columns, table_console
from loki_shipper.cli.deployment import (
    Deployment,
    NoDeploymentError,
    deployment_options,
    is_deployment_named,
    open_deployment,
)
from loki_shipper.cli.errors import InputError
from loki_shipper.cli.json_output import print_objects
from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.doctor.deployed_stack import DoctorClients, read_deployed_stack
from loki_shipper.doctor.finding import Finding, Level, failure, ok, warning
from loki_shipper.doctor.loki import check_loki
from loki_shipper.doctor.probe import loki_probe
from loki_shipper.doctor.stack import check_stack
from loki_shipper.environment import SettingsError
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper import aws
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.push import LokiAccess

_STYLES = {Level.OK: "bold green", Level.WARN: "bold yellow", Level.WRONG: "bold red"}
_FROM_HERE = {"dns", "tcp", "tls", "write"}
"""Checks that fail here if only the function's network reaches Loki."""

_SERVICES = ("cloudformation", "lambda", "iam", "logs", "s3", "sqs", "events", "kms")


@click.command()
@deployment_options
@click.option("--loki", metavar="URL", help="Loki's URL.  [default: the deployment's]")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, loki: str | None, as_json: bool, **which: Any) -> None:
    """Say what is wrong between here and Loki, and what to do about it.

    The command pushes a line with service_name="loki-shipper-doctor" to Loki and reads it back. It
    checks the deployment's functions, rights, bucket, filters and tag index, and lets the function
    ship a line. It uses the function's settings.

    With --loki, and without --stack or --function, it checks only that Loki, with the settings of
    this environment.

    \b
    Check a Loki before you deploy, then the deployment:
      loki-shipper doctor --loki https://loki.example
      loki-shipper doctor
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if loki is not None and not is_deployment_named():
        with aws_errors():
            report_findings(
                _findings_of_loki(loki, which["profile"], which["region"]), as_json=as_json
            )
        return
    try:
        with open_deployment(**which) as deployment:
            report_findings(_findings(loki, deployment), as_json=as_json)
    except NoDeploymentError as error:
        advice = "; before anything is deployed, check a Loki with --loki URL"
        raise InputError(f"{error.message}{advice}") from None


def report_findings(found: Iterator[Finding], *, as_json: bool) -> None:
    """Print the findings, and end the command with 1 if one is a fault."""
    if as_json:
        findings = list(found)
        print_objects(map(_as_object, findings))
    else:
        findings = list(_shown(found))
    if any(finding.level is Level.WRONG for finding in findings):
        raise click.exceptions.Exit(1)


def _findings_of_loki(loki: str, profile: str | None, region: str | None) -> Iterator[Finding]:
    try:
        configured = settings({**os.environ, "LOKI_URL": loki})
    except SettingsError as error:
        yield failure(
            "settings", str(error), "correct --loki and the variables of this environment"
        )
        return
    yield ok("settings", configured.loki_url)
    # A Loki without secrets needs no AWS.
    fetch = partial(_fetch_secret, lambda: open_session(profile, region))
    yield from _of_loki(configured, [], fetch)


def _findings(loki: str | None, deployment: Deployment) -> Iterator[Finding]:
    first = deployment.shipper
    functions = [first, *(each for each in deployment.functions if each.kind != "shipper")]
    environ = first.environ if loki is None else {**first.environ, "LOKI_URL": loki}
    try:
        configured = settings(environ)
    except SettingsError as error:
        advice = f"correct the parameters of {deployment.name}: loki-shipper deploy"
        yield failure("settings", str(error), advice)
        return
    yield ok("settings", configured.loki_url)
    fetch = partial(_fetch_secret, lambda: deployment.session)
    yield from _of_loki(configured, functions, fetch)
    clients = DoctorClients(*map(deployment.client, _SERVICES))
    name = deployment.stack
    stack = None if name is None else read_deployed_stack(name, clients)
    yield from check_stack(functions, configured, clients, stack=stack, now=datetime.now(UTC))


def of_loki(configured: Settings) -> Iterator[Finding]:
    """Check the Loki of settings whose secrets are not in AWS."""
    yield from _of_loki(configured, [], _no_secret)


def _no_secret(reference: str) -> str:
    del reference
    raise SettingsError("LOKI_SECRET names a secret of AWS")


def _fetch_secret(session: Callable[[], CommandSession], reference: str) -> str:
    return aws.fetch_secret(reference, session=session())


def _of_loki(
    configured: Settings, deployed: list[DeployedFunction], fetch: Callable[[str], str]
) -> Iterator[Finding]:
    try:
        access = credentials(configured, fetch)
    except (SettingsError, BotoCoreError) as error:
        says = str(error) if isinstance(error, SettingsError) else type(error).__name__
        if deployed:
            advice = "fine if only the function may read it: `iam` and `ship` below tell"
            yield warning("secret", f"your AWS credentials cannot read it: {says}", advice)
        else:
            yield failure("secret", says, "check its name, --region, and your right to read it")
        return
    if clear := _of_encryption(access):
        yield clear
    hidden = any(function.in_vpc for function in deployed)
    name = uuid.uuid4().hex
    for finding in check_loki(configured, loki_probe(access, configured.loki_tenant), name):
        if hidden and finding.level is Level.WRONG and finding.check in _FROM_HERE:
            advice = "the function is in a VPC, and may reach it: `ship` below tells"
            yield replace(finding, level=Level.WARN, advice=advice)
        else:
            yield finding


def _of_encryption(access: LokiAccess) -> Finding | None:
    if access.headers and access.url.startswith("http:"):
        return warning("secret", "the credentials travel over http, unencrypted", "use https")
    return ok("secret", "readable") if access.headers else None


def _shown(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print each finding when it is there, and pass it on."""
    console = table_console()
    counts = dict.fromkeys(Level, 0)
    for finding in findings:
        counts[finding.level] += 1
        console.print(*_rows(finding))
        yield finding
    console.print(_sum(counts))


def _as_object(finding: Finding) -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level,
        "says": finding.says,
        "advice": finding.advice,
    }


def _rows(finding: Finding) -> Iterator[Table]:
    yield _row(Text(finding.level, _STYLES[finding.level]), finding.check, finding.says)
    if finding.advice:
        yield _row(Text(), "", finding.advice)


def _row(word: Text, check: str, text: str) -> Table:
    return columns((word, 5), (Text(check), 10), text=text)


def _sum(counts: Mapping[Level, int]) -> Text:
    parts = [f"{counts[level]} {level}" for level in Level]
    worst = next(level for level in reversed(Level) if counts[level] or level is Level.OK)
    return Text(", ".join(parts), style=_STYLES[worst])
