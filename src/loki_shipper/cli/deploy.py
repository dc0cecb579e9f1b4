"""`loki-shipper deploy`: build, deploy, link, show; or take it all away."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from loki_shipper.cli.aws import aws_errors, open_session
from loki_shipper.cli.deployment import open_deployment
from loki_shipper.cli.errors import InputError, NotDeliveredError
from loki_shipper.cli.link import act, everything
from loki_shipper.cli.status import status
from loki_shipper.cli.unlink import unlink

_CLONE = Path(__file__).parents[3]
_ALL: dict[str, Any] = {"include": (), "exclude": (), "tags": (), "as_json": False}


@click.command()
@click.option("--profile", metavar="NAME", help="Profile of your AWS configuration.")
@click.option("--region", metavar="REGION", help="Region to deploy to.")
@click.option("--stack", default="loki-shipper", show_default=True, metavar="NAME", help="Stack.")
@click.option("--delete", is_flag=True, help="Unlink everything and delete the stack.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--sam",
    default=str(_CLONE / "scripts" / "sam"),
    metavar="PATH",
    help="SAM CLI to use.  [default: scripts/sam]",
)
@click.pass_context
def deploy(  # noqa: PLR0913 - each is an option
    ctx: click.Context,
    *,
    profile: str | None,
    region: str | None,
    stack: str,
    delete: bool,
    dry_run: bool,
    sam: str,
) -> None:
    """Deploy this clone as a stack, link log groups, and show what is linked.

    The first time it asks for the settings, and SAM keeps the answers in samconfig.toml. After
    that it changes only what has changed. Repeat it at any time.

    \b
    Deploy, or bring what is deployed up to date:
      loki-shipper deploy --region eu-central-1
    \b
    Take it all away but the bucket, which may hold lines:
      loki-shipper deploy --delete
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if not (_CLONE / "template.yaml").is_file():
        raise InputError("there is no template.yaml: run it in a clone of Loki-Shipper")
    place = {"profile": profile, "region": region}
    words = ["--stack-name", stack]
    words += [word for name, value in place.items() if value for word in (f"--{name}", value)]
    was = _changed_at(stack, **place)
    if not delete:
        _run(sam, "build")
        _run(sam, "deploy", *words, *_manner(first=was is None, dry_run=dry_run))
    which = {**place, "stack": stack, "function": None}
    if delete and was is None:
        click.echo(f"there is no stack {stack}: nothing to delete")
    elif delete:
        ctx.invoke(unlink, groups=(), everything=True, dry_run=dry_run, **which, **_ALL)
        if not dry_run:
            _run(sam, "delete", "--no-prompts", *words)
            click.echo("no filter is left; the bucket stays, as it may hold lines")
    elif not (dry_run and was is None):
        _link(which, dry_run=dry_run, unchanged=was == _changed_at(stack, **place))
        ctx.invoke(status, as_json=False, watch=False, **which)


def _link(which: dict[str, Any], *, dry_run: bool, unchanged: bool) -> None:
    with open_deployment(**which) as deployment:
        report = act(deployment, everything(deployment), dry_run=dry_run, as_json=False)
    if unchanged and report is not None and not report.put + report.deleted:
        click.echo("nothing has changed")


def _changed_at(stack: str, *, profile: str | None, region: str | None) -> datetime | None:
    """Tell when a stack was made or changed last; None where there is none."""
    with aws_errors():
        try:
            client = open_session(profile, region).client("cloudformation")
            [described] = client.describe_stacks(StackName=stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
    changed: datetime = described.get("LastUpdatedTime", described["CreationTime"])
    return changed


def _manner(*, first: bool, dry_run: bool) -> list[str]:
    """Say how SAM deploys: asking a person whatever it has to ask."""
    person = sys.stdin.isatty()
    if dry_run:
        return ["--no-execute-changeset", "--no-fail-on-empty-changeset"]
    if first and person:
        return ["--guided"]
    return ["--no-fail-on-empty-changeset", *([] if person else ["--no-confirm-changeset"])]


def _run(*command: str) -> None:
    ended = subprocess.run(command, cwd=_CLONE, check=False)  # noqa: S603 - it is SAM
    if ended.returncode:
        raise NotDeliveredError(f"sam {command[1]} failed: see above, and repeat the command")
