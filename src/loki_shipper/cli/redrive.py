"""`loki-shipper redrive`: what waits in the bucket, shipped by hand."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, override

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct, to_builtins
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loki_shipper.cli.errors import InputError, NotDeliveredError, stoppable
from loki_shipper.cli.objects import print_objects, time_text
from loki_shipper.redriver.bucket import EVERYTHING, Bucket, BucketError, Stored, rejected, waiting
from loki_shipper.redriver.effects import Effects, effects
from loki_shipper.redriver.redrive import Redriven
from loki_shipper.redriver.redrive import redrive as run
from loki_shipper.redriver.s3 import s3
from loki_shipper.settings import Settings, SettingsError, settings
from loki_shipper.shipper.sandbox import Sandbox

_SECONDS = 120.0
"""Longest wait for Loki to take a push."""

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

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


class Age(click.ParamType[timedelta]):
    """A time such as `90m`, `12h` or `2d`."""

    name = "AGE"

    @override
    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([0-9]{1,4})([mhd])", value)
        if match is None:
            self.fail(f"{value!r} is not a time: write it like 90m, 12h or 2d", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command()
@click.option("--bucket", required=True, metavar="NAME", help="The stack's output BucketName.")
@click.option("--dry-run", is_flag=True, help="Only say what waits.")
@click.option("--since", type=Age(), help="Only what came within this time, such as 12h or 2d.")
@click.option("--rejected", "refused", is_flag=True, help="Instead, what Loki refused for good.")
@click.option("--limit", type=click.IntRange(min=1), help="No more than so many objects.")
@click.option(
    "--function",
    metavar="NAME",
    help="Take the settings of this function, labels and redaction included.",
)
@click.option("--loki", metavar="URL", help="Ship to this Loki.  [default: LOKI_URL]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def redrive(  # noqa: PLR0913 - each is an option
    *,
    bucket: str,
    dry_run: bool,
    since: timedelta | None,
    refused: bool,
    limit: int | None,
    function: str | None,
    loki: str | None,
    as_json: bool,
) -> None:
    """Ship what could not be delivered, oldest first, and empty the bucket of it.

    The stack does so every few minutes; this is for those who do not want to wait, and for what
    Loki refused, which never comes back by itself.

    Settings are those of --function, else of the environment. The latter must be as the function's
    are: lines that Lambda kept are as they were logged, and only RULES redacts them.

    \b
    See what waits, then ship it:
      loki-shipper redrive --bucket my-bucket --dry-run
      loki-shipper redrive --bucket my-bucket --function my-redriver
    \b
    Loki takes older lines now: ship what it refused in the last two days.
      loki-shipper redrive --bucket my-bucket --rejected --since 2d
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    now = datetime.now(UTC)
    with _explained():
        arn, store = _function_arn(bucket), s3(bucket)

        def stored() -> Iterator[Stored]:
            found = rejected(store) if refused else waiting(store, now, share=EVERYTHING)
            return (each for each in found if since is None or each.written >= now - since)

        if dry_run:
            waits = _waits(islice(stored(), limit))
            if as_json:
                print_objects([_as_object(bucket, waits)])
            else:
                click.echo(_foretold(waits, now))
            return
        needed = _effects(_settings(function, loki, bucket), arn, store, now)
        with stoppable("stopped: what was delivered is deleted, and the same command goes on"):
            report = _run(stored, needed, limit=limit)
    if as_json:
        print_objects([_as_object(bucket, report)])
    else:
        click.echo(_told(report))
    if report.left:
        raise NotDeliveredError(_blame(report, now))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise InputError(f"correct --loki or the environment: {error}") from None
    except BucketError as error:
        raise InputError(f"{error}: check --bucket and your rights") from None
    except (BotoCoreError, ClientError) as error:
        raise InputError(f"AWS does not know you, or is out of reach: {error}") from None


def _settings(function: str | None, loki: str | None, bucket: str) -> Settings:
    environ = {**(os.environ if function is None else _environ(function)), "BUCKET": bucket}
    return settings(environ if loki is None else {**environ, "LOKI_URL": loki})


def _environ(function: str) -> dict[str, str]:
    found: Any = boto3.client("lambda").get_function_configuration(FunctionName=function)
    environ: dict[str, str] = found.get("Environment", {}).get("Variables", {})
    return environ


def _function_arn(bucket: str) -> str:
    """Give an ARN as the stack's functions have it, which tells whose log groups are ours."""
    try:
        region = boto3.client("s3").head_bucket(Bucket=bucket)["BucketRegion"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise BucketError(f"the bucket {bucket} cannot be found: {code}") from None
    # Tags and secrets are where the bucket is, wherever the person is.
    boto3.setup_default_session(region_name=region)
    me = boto3.client("sts").get_caller_identity()
    partition = me["Arn"].split(":")[1]
    return f"arn:{partition}:lambda:{region}:{me['Account']}:function:loki-shipper"


def _effects(configured: Settings, function_arn: str, bucket: Bucket, now: datetime) -> Effects:
    # What the function logs at its start is for people: stdout may be a program's.
    with redirect_stdout(sys.stderr):
        sandbox = Sandbox(configured, function_arn)
    # People stop a command themselves.
    around = sandbox.surroundings(lambda: _SECONDS)
    return effects(around, bucket, workers=1, clock=time.monotonic, now=now)


def _run(stored: Callable[[], Iterator[Stored]], needed: Effects, *, limit: int | None) -> Redriven:
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

        def tell(so_far: Redriven) -> None:
            done = so_far.objects + so_far.set_aside + so_far.left
            bar.update(task, completed=done, description=f"{so_far.lines:,} lines")

        return run(stored(), needed, limit=limit, is_patient=False, tell=tell)


def _waits(stored: Iterable[Stored]) -> Waits:
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


def _told(report: Redriven) -> str:
    lines = f"{report.lines:,} lines delivered, {report.late:,} of them late"
    told = f"redriven {_objects(report.objects)}: {lines}, {report.rejected:,} rejected"
    if report.set_aside:
        told += f"\nset aside {_objects(report.set_aside)} under rejected/"
    return told


def _blame(report: Redriven, now: datetime) -> str:
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


def _as_object(bucket: str, report: Redriven | Waits) -> dict[str, Any]:
    told = to_builtins(report)
    # It is for the stack's own next run.
    told.pop("cursor", None)
    if report.oldest is not None:
        told["oldest"] = time_text(int(report.oldest.timestamp() * 1000))
    return {"bucket": bucket, **told}
