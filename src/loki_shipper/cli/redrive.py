"""`loki-shipper redrive`: ships the objects that wait in the bucket, and deletes them."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import click
from botocore.exceptions import ClientError, ParamValidationError
from msgspec import Struct, to_builtins

from loki_shipper.aws.arn import Origin, function_arn, parse_arn
from loki_shipper.cli.aws import CommandSession, aws_errors, open_session
from loki_shipper.cli.confirm import confirm, yes_option
from loki_shipper.cli.dead_messages import send_dead_messages
from loki_shipper.cli.deployment import (
    Deployment,
    deployment_options,
    is_deployment_named,
    open_deployment,
)
from loki_shipper.cli.errors import InputError, NotDeliveredError, settings_errors, stoppable
from loki_shipper.cli.formatting import count_text, time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.parameter_types import AGE
from loki_shipper.cli.progress import object_bar
from loki_shipper.formats import NO_RULES
from loki_shipper.redriver.bucket import (
    EVERYTHING,
    Bucket,
    BucketError,
    StoredObject,
    rejected,
    waiting,
)
from loki_shipper.redriver.effects import RedriveEffects, redrive_effects
from loki_shipper.redriver.redrive import redrive as run
from loki_shipper.redriver.report import RedriveReport
from loki_shipper.redriver.s3 import s3
from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper

_SECONDS = 120.0
"""The longest wait for Loki to take a push."""

_LOCAL = "this environment"
_WHY_LEFT = {
    "done": "they failed, or came after the start: see the reasons, and try again later",
    "deadline": "an object took too long: try again later",
    "limit": "--limit was reached",
    "loki_down": "Loki is down, or refuses everything: check LOKI_URL and the credentials",
    "bucket": "the bucket cannot be read or written: check your rights, and those to use its key",
}


class WaitingObjects(Struct, frozen=True):
    """The objects that wait in the bucket: their number, their size, when the oldest came."""

    objects: int = 0
    bytes: int = 0
    oldest: datetime | None = None


class RedriveInputs(Struct, frozen=True):
    """The bucket to redrive, and the settings to ship with.

    `function_arn` tells which log groups are our own. `settings_name` names the settings in
    messages.
    """

    bucket: str
    session: CommandSession
    function_arn: str
    environ: Mapping[str, str]
    settings_name: str


@click.command()
@deployment_options
@click.option("--bucket", metavar="NAME", help="Bucket to redrive.  [default: the deployment's]")
@click.option("--dry-run", is_flag=True, help="Only show what waits.")
@click.option(
    "--since",
    type=AGE,
    metavar="AGE",
    help="Only objects that came within this time, such as 12h or 2d.",
)
@click.option(
    "--rejected", "only_rejected", is_flag=True, help="Ship the lines that Loki refused, instead."
)
@click.option(
    "--log-files",
    is_flag=True,
    help="Send messages about log files again that failed for good, instead.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Ship at most this number of objects.")
@click.option(
    "--local-settings",
    is_flag=True,
    help="Use the settings of this environment, not the function's.",
)
@click.option("--loki", metavar="URL", help="Ship to this Loki.  [default: the settings' LOKI_URL]")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def redrive(  # noqa: PLR0913 - each is an option
    *,
    bucket: str | None,
    dry_run: bool,
    since: timedelta | None,
    only_rejected: bool,
    log_files: bool,
    limit: int | None,
    local_settings: bool,
    loki: str | None,
    yes: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Ship the lines that wait in the bucket, oldest first, and delete what was delivered.

    The redrivers do this every few minutes. Use the command if you do not want to wait, and for
    lines that Loki refused: the redrivers do not ship those again. --rejected asks first on a
    terminal.

    The command uses the settings of the deployed function. With --local-settings it uses those of
    this environment. They must equal the function's: Lambda kept the lines as they were logged, and
    only RULES redacts them.

    \b
    See what waits, then ship it:
      loki-shipper redrive --dry-run
      loki-shipper redrive
    \b
    Ship what Loki refused in the last two days, once it takes older lines:
      loki-shipper redrive --rejected --since 2d
    \b
    Send messages about log files again that are among the dead letters:
      loki-shipper redrive --log-files
    \b
    See what a deleted stack has left in its bucket:
      loki-shipper redrive --bucket my-bucket --dry-run
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if log_files:
        with open_deployment(**which) as deployment:
            sent = send_dead_messages(deployment)
        click.echo(f"sent {count_text(sent, 'message')} about log files again")
        return
    now = datetime.now(UTC)
    with _open_bucket(bucket, which, local_settings=local_settings, dry_run=dry_run) as inputs:
        store = s3(inputs.bucket, inputs.session)

        def stored() -> Iterator[StoredObject]:
            objects = rejected(store) if only_rejected else waiting(store, now, share=EVERYTHING)
            return (each for each in objects if since is None or each.written >= now - since)

        if dry_run:
            found = _count(islice(stored(), limit))
            if as_json:
                print_objects([_as_object(inputs.bucket, found)])
            else:
                click.echo(_waiting_text(found, now))
            return
        deps = _effects(inputs, loki, store, now)
        if only_rejected:
            found = _count(islice(stored(), limit))
            question = f"Loki refused this before: {_waiting_text(found, now)}. Ship it again?"
            confirm(question, yes=yes or not found.objects)
        with stoppable("stopped: what was delivered is deleted, and the same command goes on"):
            report = _run(stored, deps, limit=limit)
    if as_json:
        print_objects([_as_object(inputs.bucket, report)])
    else:
        click.echo(_report_text(report))
    if report.left:
        raise NotDeliveredError(_left_text(report, now))


@contextmanager
def _open_bucket(
    bucket: str | None, which: Mapping[str, Any], *, local_settings: bool, dry_run: bool
) -> Iterator[RedriveInputs]:
    """Find the bucket and the settings, and turn errors in the block into one line."""
    try:
        if bucket is not None and (local_settings or dry_run) and not is_deployment_named():
            # The deployment may no longer exist.
            with aws_errors():
                yield _inputs_of_bucket(bucket, which["profile"], which["region"])
        else:
            with open_deployment(**which) as deployment:
                yield _inputs_of_deployment(bucket, deployment, local_settings=local_settings)
    except BucketError as error:
        raise InputError(f"{error}: check --bucket and your rights") from None


def _inputs_of_bucket(bucket: str, profile: str | None, region: str | None) -> RedriveInputs:
    """Make the inputs of a bucket alone; tags and secrets are read in the bucket's Region."""
    found = _bucket_region(bucket, open_session(profile, region))
    if found is None:
        raise InputError(f"S3 does not say in which Region {bucket} is: give --region")
    session = open_session(profile, found)
    me = session.client("sts").get_caller_identity()
    caller = parse_arn(me["Arn"])
    assert caller is not None
    arn = function_arn(Origin(caller.origin.partition, found, me["Account"]), "loki-shipper")
    return RedriveInputs(bucket, session, arn, os.environ, _LOCAL)


def _inputs_of_deployment(
    bucket: str | None, deployment: Deployment, *, local_settings: bool
) -> RedriveInputs:
    function = deployment.redriver
    name = bucket or function.environ.get("BUCKET")
    if not name:
        raise InputError(f"{deployment.name} has no bucket: name one with --bucket")
    _bucket_region(name, deployment.session)
    if local_settings:
        return RedriveInputs(name, deployment.session, function.arn, os.environ, _LOCAL)
    return RedriveInputs(name, deployment.session, function.arn, function.environ, deployment.name)


def _bucket_region(bucket: str, session: CommandSession) -> str | None:
    """Return a bucket's Region as S3 says it, else the session's. Raises InputError."""
    try:
        answer = session.client("s3").head_bucket(Bucket=bucket)
    except ParamValidationError:
        raise InputError(f"{bucket!r} is not the name of a bucket: correct --bucket") from None
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        raise InputError(
            f"there is no bucket {bucket}: correct --bucket (the stack's output BucketName)"
        ) from None
    # A store that is only compatible with S3 may leave it out.
    region: str | None = answer.get("BucketRegion", session.region_name)
    return region


def _effects(
    inputs: RedriveInputs, loki: str | None, bucket: Bucket, now: datetime
) -> RedriveEffects:
    overrides = {"BUCKET": inputs.bucket} | ({} if loki is None else {"LOKI_URL": loki})
    with settings_errors(f"--loki or the settings of {inputs.settings_name}"):
        configured = settings({**inputs.environ, **overrides})
        _refuse_rules_of_function(configured.rules, inputs)
        # The shipper logs at its start, but stdout is for the command's own output.
        with redirect_stdout(sys.stderr):
            shipper = Shipper(configured, inputs.function_arn, aws_session=inputs.session)
        # You can stop the command, so it has no deadline.
        deps = shipper.dependencies(lambda: _SECONDS)
    return redrive_effects(deps, bucket, workers=1, clock=time.monotonic, now=now)


def _refuse_rules_of_function(rules: str | None, inputs: RedriveInputs) -> None:
    """Refuse rules in a file of the function: without its redaction, nothing may be shipped."""
    is_file = rules not in {None, NO_RULES} and not str(rules).startswith("s3://")
    if is_file and inputs.settings_name != _LOCAL:
        raise InputError(
            f"RULES of {inputs.settings_name} names {rules}, a file of the function that is not "
            "here: keep the rules in S3, or set all settings here and give --local-settings"
        )


def _run(
    stored: Callable[[], Iterator[StoredObject]], deps: RedriveEffects, *, limit: int | None
) -> RedriveReport:
    with object_bar(lambda: sum(1 for _ in stored())) as update:

        def show_progress(report: RedriveReport) -> None:
            update(report.objects + report.set_aside + report.left, f"{report.lines:,} lines")

        return run(stored(), deps, limit=limit, skip_old=False, on_progress=show_progress)


def _count(stored: Iterable[StoredObject]) -> WaitingObjects:
    total = WaitingObjects()
    for each in stored:
        oldest = min(total.oldest or each.written, each.written)
        total = WaitingObjects(total.objects + 1, total.bytes + each.size, oldest)
    return total


def _waiting_text(found: WaitingObjects, now: datetime) -> str:
    if found.oldest is None:
        return "nothing waits"
    return (
        f"{count_text(found.objects, 'object')}, {found.bytes:,} bytes, "
        f"the oldest waiting for {_age(now - found.oldest)}"
    )


def _report_text(report: RedriveReport) -> str:
    lines = f"{report.lines:,} lines delivered, {report.late:,} of them late"
    text = f"redriven {count_text(report.objects, 'object')}: {lines}, {report.rejected:,} rejected"
    if report.set_aside:
        text += f"\nset aside {count_text(report.set_aside, 'object')} under rejected/"
    return text


def _left_text(report: RedriveReport, now: datetime) -> str:
    assert report.oldest is not None
    left = f"{count_text(report.left, 'object')} left"
    reasons = sorted((report.failures | report.faults).items())
    failures = ", ".join(f"{reason} ({n} times)" for reason, n in reasons)
    return (
        f"{left}, the oldest waiting for {_age(now - report.oldest)}: {_WHY_LEFT[report.ended]}"
        + (f" [{failures}]" if failures else "")
    )


def _age(age: timedelta) -> str:
    minutes = max(0, round(age.total_seconds() / 60))
    hours, days = minutes // 60, minutes // 1440
    return (
        f"{days}d{hours % 24}h" if days else f"{hours}h{minutes % 60}m" if hours else f"{minutes}m"
    )


def _as_object(bucket: str, report: RedriveReport | WaitingObjects) -> dict[str, Any]:
    fields = to_builtins(report)
    # The cursor is for the stack's own next run.
    fields.pop("cursor", None)
    fields.pop("hourly", None)
    if report.oldest is not None:
        fields["oldest"] = time_text(int(report.oldest.timestamp() * 1000))
    return {"bucket": bucket, **fields}
