"""`loki-shipper invoke`: runs the pipeline on an event, and shows what Loki gets and answers."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from loki_shipper.cli.console import line_console
from loki_shipper.cli.errors import InputError, NotDeliveredError, settings_errors
from loki_shipper.cli.event_file import EventFile
from loki_shipper.cli.invoke_output import as_object, show
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.parameter_types import TAG
from loki_shipper.google.rules_file import google_rules_file
from loki_shipper.google.settings import google_settings
from loki_shipper.local.google import invoke_google, is_of_google, read_event, retimed_google
from loki_shipper.local.invoke import Invocation, loki_connection
from loki_shipper.local.invoke import invoke as run
from loki_shipper.local.log_files import (
    OpenLogFile,
    objects_of,
    open_as,
    open_in_s3,
    open_sample,
)
from loki_shipper.local.sample import retimed
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.delivery.outcome import Report
from loki_shipper.shipper.rules.cache import RulesCache
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.sources.event import is_of_queue

if TYPE_CHECKING:
    from loki_shipper.cli.aws import CommandSession

_NOT_PUSHED = "http://not-pushed.invalid"
"""The LOKI_URL of a run that pushes nothing: the settings require one."""

_ADVICE = {
    "no_connection": "check that Loki is up at this URL",
    "denied": "set LOKI_TENANT, LOKI_TOKEN, or LOKI_USERNAME and LOKI_PASSWORD",
    "tenant": "set LOKI_TENANT to a tenant of this Loki",
    "not_loki": (
        "a web page answers, such as a login page: correct --loki, or give the credentials that "
        "the gateway asks for"
    ),
    "too_new": "the lines are dated ahead of Loki's clock",
    "too_old": "move the event to now with --now",
    "too_far_behind": "move the event to now with --now",
}


@click.command()
@click.argument("event", type=EventFile())
@click.option(
    "--object",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="File that stands for the objects that EVENT names.  [default: read them from S3]",
)
@click.option("--loki", metavar="URL", help="Push to this Loki.  [default: show only]")
@click.option(
    "--tag", "tags", type=TAG, multiple=True, help="A tag of the log group or bucket; repeat it."
)
@click.option("--profile", metavar="NAME", help="Profile of your AWS configuration.")
@click.option(
    "--region",
    envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
    metavar="REGION",
    help="Region of the function.  [default: eu-central-1]",
)
@click.option(
    "--now", is_flag=True, help="Move the event in time, so that its newest line is of now."
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Entries to show of each push; 0 shows all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def invoke(  # noqa: PLR0913 - each is an option
    *,
    event: BinaryIO,
    file: BinaryIO | None,
    loki: str | None,
    tags: tuple[tuple[str, str], ...],
    profile: str | None,
    region: str | None,
    now: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Run the shipper on EVENT here, and show what Loki gets.

    EVENT is a file with an event as the function gets it, or the name of a sample event, such as
    lambda or ecs; - reads stdin. --tag gives the log group's tags. All settings come from the
    environment, except LOKI_URL: the command pushes only with --loki. It calls AWS only if a
    setting names a secret, a parameter or rules in S3, or if EVENT names an object in S3 that is no
    sample and --object gives no file for it.

    \b
    Show what Loki would get:
      loki-shipper invoke --tag team=payments lambda
    \b
    Push it, moved to now, because Loki refuses lines older than seven days:
      loki-shipper invoke --now --loki http://localhost:3100 lambda
    \b
    Show what Loki would get of a log file in S3:
      loki-shipper invoke s3-alb
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    invocation = _invoke(
        event, file, loki=loki, tags=dict(tags), profile=profile, region=region, now=now
    )
    if as_json:
        print_objects([as_object(invocation)])
    else:
        console = line_console()
        for line in show(invocation, limit):
            console.print(line)
    if missing := _missing(invocation.report):
        raise NotDeliveredError(missing)


def _invoke(  # noqa: PLR0913 - each is an option
    file: BinaryIO,
    log_file: BinaryIO | None,
    *,
    loki: str | None,
    tags: dict[str, str],
    profile: str | None,
    region: str | None,
    now: bool,
) -> Invocation:
    event = _read(file)
    try:
        with settings_errors("--loki or the environment"):
            if is_of_google(event):
                return _invoke_google(event, loki, now=now)
            configured = settings({**os.environ, "LOKI_URL": _NOT_PUSHED if loki is None else loki})
            opened, shift = _log_files(event, log_file), 0
            if now and is_of_queue(event):
                shift = _now() - max((each.written or 0 for each in objects_of(event)), default=0)
            elif now:
                event = retimed(event, _now())
            needs_s3 = is_of_queue(event) and opened is None
            with _aws_session(configured, profile, region, needed=needs_s3) as session:
                if session is not None and needs_s3:
                    opened = open_in_s3(session)
                return run(
                    event,
                    configured,
                    tags=tags,
                    region=region or "eu-central-1",
                    loki=None if loki is None else loki_connection(configured, session),
                    aws_session=session,
                    opened=opened,
                    shift=shift,
                )
    except UndecodableError as error:
        source = "Cloud Logging" if is_of_google(event) else "CloudWatch Logs"
        raise InputError(f"{_name(file)} is not an event of {source}: {error}") from None


def _invoke_google(event: Any, loki: str | None, *, now: bool) -> Invocation:
    """Run the service of Google Cloud instead; the labels are in the event, and no AWS is asked."""
    if now:
        event = retimed_google(event, time.time_ns() // 1_000_000)
    environ = {**os.environ, "LOKI_URL": _NOT_PUSHED if loki is None else loki}
    configured, google = google_settings({**environ, "VERIFY_PUSHES": "off"})
    cache = RulesCache(configured.rules, google_rules_file, clock=time.monotonic, jitter=float)
    connection = None if loki is None else loki_connection(configured)
    return invoke_google(read_event(event), configured, google, cache(), connection)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _log_files(event: Any, log_file: BinaryIO | None) -> OpenLogFile | None:
    """Return how to open the objects of an event without AWS, or None."""
    if not is_of_queue(event):
        if log_file is not None:
            raise InputError("--object is for an event about an object in S3")
        return None
    return open_sample(event) if log_file is None else open_as(log_file.read())


@contextmanager
def _aws_session(
    configured: Settings, profile: str | None, region: str | None, *, needed: bool
) -> Iterator["CommandSession | None"]:
    """Open a session if it or a setting needs AWS, and explain AWS's errors in the block."""
    named = (configured.loki_secret, configured.loki_ca_cert, configured.loki_client_cert)
    if configured.rules is None and not any(named) and not needed:
        yield None
        return
    # boto3 is slow to load, and most events need none.
    from loki_shipper.cli.aws import aws_errors, open_session  # noqa: PLC0415

    with aws_errors():
        yield open_session(profile, region)


def _read(file: BinaryIO) -> Any:
    try:
        return json.loads(file.read())
    except (ValueError, RecursionError):
        raise InputError(
            f"{_name(file)} is not JSON: name an event, or a sample such as lambda"
        ) from None


def _name(file: BinaryIO) -> str:
    return getattr(file, "name", "<stdin>")


def _missing(report: Report) -> str | None:
    """Return what Loki did not take, why, and what to do; None if it took everything."""
    missing = Counter(report.rejected) + Counter(report.deferred) + Counter(report.errored)
    reasons = sorted(missing)
    if reasons:
        count = missing.total()
        advice = next(
            (_ADVICE[reason] for reason in reasons if reason in _ADVICE), "see its answers"
        )
        return f"Loki did not take {count:,} of {report.received:,}: {', '.join(reasons)}; {advice}"
    if report.undecodable:
        return "refused; a function names such a log file in the bucket, under rejected/"
    if report.failure is not None:
        return f"not shipped: {report.failure}"
    return "S3 has no such object: give --object FILE" if "gone" in report.log_files else None
