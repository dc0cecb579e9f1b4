"""`loki-shipper redrive`: what waits in the bucket, shipped by hand."""

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
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loki_shipper.aws.arn import Origin, function_arn, parse_arn
from loki_shipper.cli.aws import CommandSession, aws_errors, open_session
from loki_shipper.cli.confirm import confirm, yes_option
from loki_shipper.cli.deployment import (
    Deployment,
    deployment_options,
    is_given,
    open_deployment,
)
from loki_shipper.cli.errors import InputError, NotDeliveredError, stoppable
from loki_shipper.cli.formatting import time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.parameter_types import AGE
from loki_shipper.environment import SettingsError
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
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.shipper import Shipper

_SECONDS = 120.0
"""Longest wait for Loki to take a push."""

_WHY = {
    "done": "they failed, or came after the start: see the reasons, and try again later",
    "deadline": "an object took too long: try again later",
    "limit": "--limit was reached",
    "loki_down": "Loki is down, or refuses everything: check LOKI_URL and the credentials",
    "bucket": "the bucket cannot be read or written: check your rights, and those to use its key",
}


class Waits(Struct, frozen=True):
    """What waits in the bucket, the oldest since `oldest`."""

    objects: int = 0
    bytes: int = 0
    oldest: datetime | None = None


@click.command()
@deployment_options
@click.option("--bucket", metavar="NAME", help="Bucket to empty.  [default: the deployment's]")
@click.option("--dry-run", is_flag=True, help="Only say what waits.")
@click.option(
    "--since", type=AGE, metavar="AGE", help="Only what came within this time, such as 12h or 2d."
)
@click.option("--rejected", "refused", is_flag=True, help="Instead, what Loki refused for good.")
@click.option("--limit", type=click.IntRange(min=1), help="No more than so many objects.")
@click.option(
    "--local-settings",
    is_flag=True,
    help="Take the settings of this environment, not the function's.",
)
@click.option("--loki", metavar="URL", help="Ship to this Loki.  [default: the settings' LOKI_URL]")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def redrive(  # noqa: PLR0913 - each is an option
    *,
    bucket: str | None,
    dry_run: bool,
    since: timedelta | None,
    refused: bool,
    limit: int | None,
    local_settings: bool,
    loki: str | None,
    yes: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Ship what could not be delivered, oldest first, and empty the bucket of it.

    The stack does so every few minutes. Use this command if you do not want to wait, and for lines
    that Loki refused, which never come back by themselves. --rejected asks first on a terminal.

    The settings are those of the deployed function. With --local-settings they come from this
    environment, and must be as the function's are: Lambda kept the lines as they were logged, and
    only RULES redacts them.

    \b
    See what waits, then ship it:
      loki-shipper redrive --dry-run
      loki-shipper redrive
    \b
    Loki takes older lines now: ship what it refused in the last two days.
      loki-shipper redrive --rejected --since 2d
    \b
    See what a deleted stack has left in its bucket:
      loki-shipper redrive --bucket my-bucket --dry-run
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    now = datetime.now(UTC)
    with _opened(bucket, which, local_settings=local_settings, dry_run=dry_run) as place:
        store = s3(place.bucket, place.session)

        def stored() -> Iterator[StoredObject]:
            found = rejected(store) if refused else waiting(store, now, share=EVERYTHING)
            return (each for each in found if since is None or each.written >= now - since)

        if dry_run:
            waits = _waits(islice(stored(), limit))
            if as_json:
                print_objects([_as_object(place.bucket, waits)])
            else:
                click.echo(_foretold(waits, now))
            return
        needed = _effects(place, loki, store, now)
        if refused:
            waits = _waits(islice(stored(), limit))
            question = f"Loki refused this before: {_foretold(waits, now)}. Ship it again?"
            confirm(question, yes=yes or not waits.objects)
        with stoppable("stopped: what was delivered is deleted, and the same command goes on"):
            report = _run(stored, needed, limit=limit)
    if as_json:
        print_objects([_as_object(place.bucket, report)])
    else:
        click.echo(_told(report))
    if report.left:
        raise NotDeliveredError(_blame(report, now))


class RedriveSource(Struct, frozen=True):
    """Where the lines wait, and the settings with which they are shipped.

    `function_arn` tells whose log groups are ours. `whose` says whose settings they are.
    """

    bucket: str
    session: CommandSession
    function_arn: str
    environ: Mapping[str, str]
    whose: str


@contextmanager
def _opened(
    bucket: str | None, which: Mapping[str, Any], *, local_settings: bool, dry_run: bool
) -> Iterator[RedriveSource]:
    """Find bucket and settings; what goes wrong until the block ends is said in one line."""
    is_named = is_given("stack") or is_given("function")
    with _bucket_errors():
        if bucket is not None and (local_settings or dry_run) and not is_named:
            # The deployment may be gone.
            with aws_errors():
                yield _alone(bucket, which["profile"], which["region"])
        else:
            with open_deployment(**which) as deployment:
                yield _of_deployment(bucket, deployment, local_settings=local_settings)


@contextmanager
def _bucket_errors() -> Iterator[None]:
    try:
        yield
    except BucketError as error:
        raise InputError(f"{error}: check --bucket and your rights") from None


def _alone(bucket: str, profile: str | None, region: str | None) -> RedriveSource:
    """Make a place of a bucket alone. Tags and secrets are where the bucket is."""
    found = _region(bucket, open_session(profile, region))
    if found is None:
        raise InputError(f"S3 does not say in which Region {bucket} is: give --region")
    session = open_session(profile, found)
    me = session.client("sts").get_caller_identity()
    caller = parse_arn(me["Arn"])
    assert caller is not None
    arn = function_arn(Origin(caller.origin.partition, found, me["Account"]), "loki-shipper")
    return RedriveSource(bucket, session, arn, os.environ, "this environment")


def _of_deployment(
    bucket: str | None, deployment: Deployment, *, local_settings: bool
) -> RedriveSource:
    function = deployment.redriver
    name = bucket or function.environ.get("BUCKET")
    if not name:
        raise InputError(f"{deployment.name} has no bucket: name one with --bucket")
    _region(name, deployment.session)
    if local_settings:
        return RedriveSource(name, deployment.session, function.arn, os.environ, "this environment")
    return RedriveSource(name, deployment.session, function.arn, function.environ, deployment.name)


def _region(bucket: str, session: CommandSession) -> str | None:
    """Find a bucket's Region: S3's answer, else the session's. Raises InputError."""
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
    # A storage that only speaks as S3 does may leave it out.
    region: str | None = answer.get("BucketRegion", session.region_name)
    return region


def _settings(place: RedriveSource, loki: str | None) -> Settings:
    environ = {**place.environ, "BUCKET": place.bucket}
    return settings(environ if loki is None else {**environ, "LOKI_URL": loki})


def _effects(
    place: RedriveSource, loki: str | None, bucket: Bucket, now: datetime
) -> RedriveEffects:
    try:
        configured = _settings(place, loki)
        _refuse_file_of_function(configured.rules, place)
        # What the function logs at its start is for people: stdout may be a program's.
        with redirect_stdout(sys.stderr):
            environment = Shipper(configured, place.function_arn, aws_session=place.session)
        # People stop a command themselves.
        deps = environment.dependencies(lambda: _SECONDS)
    except SettingsError as error:
        raise InputError(f"correct --loki or the settings of {place.whose}: {error}") from None
    return redrive_effects(deps, bucket, workers=1, clock=time.monotonic, now=now)


def _refuse_file_of_function(rules: str | None, place: RedriveSource) -> None:
    """Ship nothing by other rules than the function's: they hold its redaction."""
    is_file = rules not in {None, NO_RULES} and not str(rules).startswith("s3://")
    if is_file and place.environ is not os.environ:
        raise InputError(
            f"RULES of {place.whose} names {rules}, a file of the function that is not here: keep "
            "the rules in S3, or set all settings here and say --local-settings"
        )


def _run(
    stored: Callable[[], Iterator[StoredObject]], needed: RedriveEffects, *, limit: int | None
) -> RedriveReport:
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("objects"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        total = sum(1 for _ in stored()) if console.is_terminal else None
        task = bar.add_task("", total=total)

        def tell(so_far: RedriveReport) -> None:
            done = so_far.objects + so_far.set_aside + so_far.left
            bar.update(task, completed=done, description=f"{so_far.lines:,} lines")

        return run(stored(), needed, limit=limit, skip_old=False, on_progress=tell)


def _waits(stored: Iterable[StoredObject]) -> Waits:
    waits = Waits()
    for each in stored:
        oldest = min(waits.oldest or each.written, each.written)
        waits = Waits(waits.objects + 1, waits.bytes + each.size, oldest)
    return waits


def _foretold(waits: Waits, now: datetime) -> str:
    if waits.oldest is None:
        return "nothing waits"
    return (
        f"{_objects(waits.objects)}, {waits.bytes:,} bytes, "
        f"the oldest waiting for {_age(now - waits.oldest)}"
    )


def _told(report: RedriveReport) -> str:
    lines = f"{report.lines:,} lines delivered, {report.late:,} of them late"
    told = f"redriven {_objects(report.objects)}: {lines}, {report.rejected:,} rejected"
    if report.set_aside:
        told += f"\nset aside {_objects(report.set_aside)} under rejected/"
    return told


def _blame(report: RedriveReport, now: datetime) -> str:
    assert report.oldest is not None
    reasons = sorted((report.failures | report.faults).items())
    failures = ", ".join(f"{reason} ({n} times)" for reason, n in reasons)
    blame = f"{_objects(report.left)} left, the oldest waiting for {_age(now - report.oldest)}: "
    return blame + _WHY[report.ended] + (f" [{failures}]" if failures else "")


def _objects(count: int) -> str:
    return f"{count:,} object" + ("" if count == 1 else "s")


def _age(age: timedelta) -> str:
    minutes = max(0, round(age.total_seconds() / 60))
    hours, days = minutes // 60, minutes // 1440
    return (
        f"{days}d{hours % 24}h" if days else f"{hours}h{minutes % 60}m" if hours else f"{minutes}m"
    )


def _as_object(bucket: str, report: RedriveReport | Waits) -> dict[str, Any]:
    told = to_builtins(report)
    # It is for the stack's own next run.
    told.pop("cursor", None)
    if report.oldest is not None:
        told["oldest"] = time_text(int(report.oldest.timestamp() * 1000))
    return {"bucket": bucket, **told}
