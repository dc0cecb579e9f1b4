"""`loki-shipper google`: the service on Google Cloud, here: serve, redrive, doctor."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from loki_shipper.cli.doctor import of_loki, report_findings
from loki_shipper.cli.errors import InputError, NotDeliveredError, settings_errors, stoppable
from loki_shipper.cli.formatting import count_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.doctor.finding import Finding, failure, ok
from loki_shipper.environment import SettingsError
from loki_shipper.google.settings import google_settings

if TYPE_CHECKING:
    from loki_shipper.google.redrive import GoogleRedriveReport

_ENVIRONMENT = "the environment"
_PUBSUB = "https://pubsub.googleapis.com/v1/"
_LOGGING = "https://logging.googleapis.com/v2/"


@contextmanager
def _google_errors() -> Iterator[None]:
    """Turn a missing package, and errors of Cloud Storage, into one sentence."""
    try:
        from loki_shipper.google.storage import StorageError  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:
        raise InputError("install the packages for it: loki-shipper[google]") from None
    try:
        yield
    except StorageError as error:
        raise InputError(str(error)) from None


@click.group()
def google() -> None:
    """Run the service for Google Cloud Logging, and look after it.

    All settings come from the environment. docs/google.md shows how to deploy it.
    """


@google.command()
def serve() -> None:
    """Take push requests of Pub/Sub until Ctrl-C, as the service on Cloud Run does.

    PORT is the port.  [default: 8080]

    \b
    Try it with the emulator of Pub/Sub, which signs nothing:
      export LOKI_URL=http://localhost:3100 VERIFY_PUSHES=off
      loki-shipper google serve
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    with _google_errors(), settings_errors(_ENVIRONMENT):
        from loki_shipper.google.serve import serve as run  # noqa: PLC0415 - an extra

        run(os.environ)


@google.command()
@click.option("--bucket", envvar="BUCKET", required=True, metavar="NAME", help="The bucket.")
@click.option("--dry-run", is_flag=True, help="Only show what waits.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def redrive(*, bucket: str, dry_run: bool, as_json: bool) -> None:
    """Ship what Loki refused, oldest first, and delete what Loki then holds.

    What may succeed later is not there: Pub/Sub keeps it, and sends it again by itself.

    \b
    See what waits, then ship it:
      loki-shipper google redrive --bucket my-bucket --dry-run
      loki-shipper google redrive --bucket my-bucket
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    with _google_errors(), settings_errors(_ENVIRONMENT):
        from loki_shipper.google.keep import REJECTED  # noqa: PLC0415 - an extra
        from loki_shipper.google.redrive import redrive_google  # noqa: PLC0415
        from loki_shipper.google.serve import one_push  # noqa: PLC0415
        from loki_shipper.google.ship import ship_entries  # noqa: PLC0415
        from loki_shipper.google.storage import open_storage  # noqa: PLC0415

        storage = open_storage(bucket, os.environ)
        if dry_run:
            sizes = [each.size for each in storage.objects(REJECTED)]
            if as_json:
                print_objects([{"bucket": bucket, "objects": len(sizes), "bytes": sum(sizes)}])
            else:
                click.echo(f"{count_text(len(sizes), 'object')}, {sum(sizes):,} bytes")
            return
        deps = one_push({**os.environ, "VERIFY_PUSHES": "off"})
        with stoppable("stopped: what was delivered is deleted, and the same command goes on"):
            report = redrive_google(
                [*storage.objects(REJECTED)],
                storage,
                lambda entries: ship_entries(entries, deps()),
            )
    _show(bucket, report, as_json=as_json)


def _show(bucket: str, report: "GoogleRedriveReport", *, as_json: bool) -> None:
    if as_json:
        print_objects([{"bucket": bucket, **to_builtins(report)}])
    else:
        lines = f"{report.lines:,} lines delivered, {report.late:,} of them late"
        click.echo(f"redriven {count_text(report.objects, 'object')}: {lines}")
    if report.left:
        reasons = ", ".join(f"{reason} ({n} times)" for reason, n in report.failures.items())
        why = "Loki fails: check it, and try again" if report.ended == "loki_down" else "see why"
        raise NotDeliveredError(f"{count_text(report.left, 'object')} left: {why} [{reasons}]")


@google.command()
@click.option(
    "--subscription",
    metavar="NAME",
    help="Check this subscription: projects/PROJECT/subscriptions/NAME.",
)
@click.option("--sink", metavar="NAME", help="Check this log sink: projects/PROJECT/sinks/NAME.")
@click.option(
    "--service",
    default="loki-shipper",
    show_default=True,
    metavar="NAME",
    help="The service, whose log the sink must leave out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, subscription: str | None, sink: str | None, service: str, as_json: bool) -> None:
    """Say what is wrong between Pub/Sub and Loki, and what to do about it.

    The command checks the settings of this environment: Loki, as `loki-shipper doctor` does, the
    bucket, and the tokens.

    \b
    Check the settings, and what is deployed:
      loki-shipper google doctor --sink projects/my-project/sinks/loki-shipper
          --subscription projects/my-project/subscriptions/loki-shipper
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    with _google_errors():
        report_findings(_findings(subscription, sink, service), as_json=as_json)


def _findings(subscription: str | None, sink: str | None, service: str) -> Iterator[Finding]:
    from loki_shipper.doctor.google import (  # noqa: PLC0415 - an extra
        check_bucket,
        check_sink,
        check_subscription,
        check_tokens,
    )
    from loki_shipper.google.storage import describe, open_storage  # noqa: PLC0415
    from loki_shipper.google.token import read_certificates  # noqa: PLC0415

    try:
        configured, found = google_settings(os.environ)
    except SettingsError as error:
        yield failure("settings", str(error), "correct the variables of this environment")
        return
    yield ok("settings", configured.loki_url)
    yield from of_loki(configured)
    storage = None if configured.bucket is None else open_storage(configured.bucket, os.environ)
    yield check_bucket(storage)
    yield check_tokens(found, read_certificates)
    if subscription is not None:
        emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
        url = f"http://{emulator}/v1/" if emulator else _PUBSUB
        described = describe(f"{url}{subscription}", signed=emulator is None)
        yield from check_subscription(described, found)
    if sink is not None:
        yield check_sink(describe(f"{_LOGGING}{sink}", signed=True), service)
