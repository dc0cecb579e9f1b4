"""`loki-shipper deploy`: creates, updates or deletes a stack, and proves that it ships."""

import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import click
from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.aws import CommandSession, aws_errors, open_session
from loki_shipper.cli.confirm import confirm, yes_option
from loki_shipper.cli.console import row, table_console
from loki_shipper.cli.deploy_output import plan_rows, print_events
from loki_shipper.cli.deploy_questions import ask_for_missing
from loki_shipper.cli.deployment import (
    Deployment,
    current_clock,
    open_deployment,
    stack_options,
)
from loki_shipper.cli.errors import InputError, NotDeliveredError, settings_errors, stoppable
from loki_shipper.cli.link import job_for_all, run_job
from loki_shipper.cli.parameter_types import KeyValue
from loki_shipper.cli.status import status
from loki_shipper.cli.unlink import unlink
from loki_shipper.clock import Clock
from loki_shipper.deployment.artifact import ArtifactError
from loki_shipper.deployment.bucket import ArtifactsBucketError
from loki_shipper.deployment.parameters import faults
from loki_shipper.deployment.plan import (
    DeploymentClients,
    DeploymentPlan,
    clear_the_way,
    make_plan,
    prepare_change,
    template_changes,
    upload_code,
)
from loki_shipper.deployment.proof import (
    NotReadError,
    explore_url,
    make_line,
    read_back,
)
from loki_shipper.deployment.secret import store
from loki_shipper.deployment.stack import (
    Event,
    Stack,
    StackError,
    delete,
    execute,
    read_stack,
    wait,
)
from loki_shipper.doctor.probe import loki_probe
from loki_shipper.doctor.round_trip import NotShippedError, ship
from loki_shipper.environment import SettingsError
from loki_shipper.local.cache import cache_folder
from loki_shipper.local.progress import on_stream
from loki_shipper.settings import settings
from loki_shipper.shipper.aws import fetch_secret
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.template import read_template

_LINKS = "Links"
"""The custom resource that unlinks log groups when CloudFormation deletes it."""

_UNLINK_ALL: dict[str, Any] = {
    "groups": (),
    "all_groups": True,
    "deletion": True,
    "include": (),
    "exclude": (),
    "tags": (),
    "yes": True,
    "as_json": False,
}


@click.command()
@click.option("--loki-url", metavar="URL", help="URL of Loki: the parameter LokiUrl.")
@click.option(
    "--secret",
    metavar="NAME",
    help="Credentials: ARN of a secret, or name of an SSM parameter (LokiSecret).",
)
@click.option(
    "--set",
    "sets",
    type=KeyValue("parameter"),
    multiple=True,
    help="Another parameter of the stack, as in docs/settings.md; repeat it.",
)
@stack_options
@click.option(
    "--bucket",
    metavar="NAME",
    help="Upload the code to this bucket of yours.  [default: a new one]",
)
@click.option(
    "--grafana",
    envvar="GRAFANA_URL",
    metavar="URL",
    help="Link to this Grafana, which shows the test line in Explore.",
)
@click.option("--delete", "deletes", is_flag=True, help="Unlink everything and delete the stack.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@yes_option
def deploy(  # noqa: PLR0913 - each is an option
    *,
    loki_url: str | None,
    secret: str | None,
    sets: tuple[tuple[str, str], ...],
    profile: str | None,
    region: str | None,
    stack: str,
    bucket: str | None,
    grafana: str | None,
    deletes: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Deploy Loki-Shipper as a stack, link log groups, and prove that lines arrive.

    The command asks for missing parameters, shows what it will do and about what that costs, and
    asks once. You can repeat it at any time, with a newer Loki-Shipper or after a failure. It keeps
    the parameters that you set before, unless you give another value.

    \b
    Deploy, or update a stack:
      loki-shipper deploy --loki-url https://loki.example --region eu-central-1
    \b
    See what that would do:
      loki-shipper deploy --loki-url https://loki.example --dry-run
    \b
    Change one parameter:
      loki-shipper deploy --set IncludeLogGroups='/aws/lambda/*,/ecs/*'
    \b
    Delete everything except the buckets, which may hold lines:
      loki-shipper deploy --delete
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    chosen = dict(sets)
    chosen |= {
        name: value
        for name, value in (("LokiUrl", loki_url), ("LokiSecret", secret))
        if value is not None
    }
    with aws_errors():
        session = open_session(profile, region)
        place = {"profile": profile, "region": region, "stack": stack, "function": None}
        if deletes:
            _delete(session, place, dry_run=dry_run, yes=yes)
            return
        _deploy(session, place, chosen, bucket=bucket, grafana=grafana, dry_run=dry_run, yes=yes)


def _deploy(  # noqa: PLR0913 - each is an option
    session: CommandSession,
    place: dict[str, Any],
    chosen: dict[str, str],
    *,
    bucket: str | None,
    grafana: str | None,
    dry_run: bool,
    yes: bool,
) -> None:
    clients = DeploymentClients(session.client("cloudformation"), session.client("s3"))
    clock = current_clock()
    declared = read_template()["Parameters"]
    if wrong := faults(declared, chosen):
        raise InputError("\n".join(wrong))
    account = session.client("sts").get_caller_identity()["Account"]
    before = _settled(
        clients.cloudformation, read_stack(clients.cloudformation, place["stack"]), clock
    )
    previous = {} if before.phase == "absent" else before.parameters
    asks = sys.stdin.isatty() and not yes
    given = ask_for_missing(declared, previous, chosen, asks=asks)
    try:
        plan = make_plan(
            before,
            chosen,
            clients,
            account=account,
            region=str(session.region_name),
            bucket=bucket,
            environ=os.environ,
        )
    except ArtifactsBucketError as error:
        raise InputError(f"{error}") from None
    console = table_console()
    console.print(*plan_rows(plan, session, account, clock, stores=given is not None), sep="\n")
    if not (plan.is_first or plan.changed or template_changes(plan, clients.cloudformation)):
        console.print("The stack is up to date.")
    elif dry_run:
        console.print("Nothing was changed.")
    else:
        confirm("Deploy this?", yes=yes)
        if given is not None:
            arn = store(session.client("secretsmanager"), place["stack"], given)
            plan = replace(plan, chosen={**plan.chosen, "LokiSecret": arn})
        with stoppable("stopped: CloudFormation goes on, and the same command follows it"):
            _change(plan, clients, clock, console)
    if not dry_run:
        _after(place, grafana, console)


def _settled(cloudformation: Any, stack: Stack, clock: Clock) -> Stack:
    if stack.phase == "busy":
        click.echo(f"the stack {stack.name} is {stack.status}: waiting until that ends", err=True)
    return wait(cloudformation, stack, clock.sleep)


def _change(
    plan: DeploymentPlan, clients: DeploymentClients, clock: Clock, console: Console
) -> None:
    tell = on_stream()
    try:
        for step in upload_code(plan, clients.s3, cache_folder(os.environ)):
            tell(step)
        print_events(clear_the_way(plan, clients.cloudformation, clock.sleep), 0, console)
        tell("asking CloudFormation for the changes")
        change_set = prepare_change(plan, clients, clock.sleep)
        tell("")
        if change_set is None:
            console.print("The stack is up to date.")
            return
        events = execute(clients.cloudformation, plan.stack, change_set, clock.sleep)
        print_events(events, len(change_set.changes), console)
    except (ArtifactError, StackError) as error:
        raise NotDeliveredError(f"{error}") from None
    finally:
        tell("")


def _after(place: dict[str, Any], grafana: str | None, console: Console) -> None:
    """Link the selected log groups, show the status, and prove that a line arrives."""
    with open_deployment(**place) as deployment:
        try:
            job = job_for_all(deployment, MemoryUpdate(stopped=False), fresh=False)
            run_job(deployment, job, dry_run=False, as_json=False)
        except AwsError as error:
            if error.kind not in {"refused", "denied"}:
                raise
            console.print(
                f"AWS does not let you link log groups ({error.code}): the stack does it."
            )
        click.get_current_context().invoke(status, as_json=False, watch=False, **place)
        _prove(deployment, grafana, console)


def _prove(deployment: Deployment, grafana: str | None, console: Console) -> None:
    if deployment.is_member:
        console.print("No test line was shipped: the hub ships the lines of this account.")
        return
    with settings_errors(f"the settings of {deployment.name}"):
        configured = settings(deployment.shipper.environ)
    if configured.tenant_tag is not None and configured.loki_tenant is None:
        console.print(
            "No test line was shipped: with TenantTag, a line without a log group has no tenant."
        )
        return
    name, now = uuid.uuid4().hex, current_clock().now()
    line = make_line(configured, str(deployment.session.region_name), name, now)
    try:
        ship(deployment.client("lambda"), deployment.shipper.arn, line.data)
    except NotShippedError as error:
        _fail_proof(f"{error}", deployment)
    console.print(Text("The function shipped a line to Loki.", style="green"))
    try:
        access = credentials(
            configured, lambda reference: fetch_secret(reference, session=deployment.session)
        )
        read_back(loki_probe(access, configured.loki_tenant), line)
        console.print(Text("Loki gave it back.", style="green"))
    except (NotReadError, SettingsError) as error:
        console.print(f"This machine could not read it back: {error}. Look for it in Grafana.")
    console.print(row("query", line.query))
    console.print(row("Explore", explore_url(grafana or "https://GRAFANA", line.query)))


def _fail_proof(why: str, deployment: Deployment) -> NoReturn:
    stack = deployment.name.removeprefix("the stack ")
    raise NotDeliveredError(f"{why}\nloki-shipper doctor --stack {stack} says what to do")


def _delete(session: CommandSession, place: dict[str, Any], *, dry_run: bool, yes: bool) -> None:
    cloudformation, clock, console = (
        session.client("cloudformation"),
        current_clock(),
        table_console(),
    )
    stack = _settled(cloudformation, read_stack(cloudformation, place["stack"]), clock)
    if stack.phase == "absent" and not stack.arn:
        console.print(f"There is no stack {stack.name}: nothing to delete.")
        return
    kept = stack.outputs.get("BucketName", "the stack's bucket")
    console.print(Text(f"Deletes the stack {stack.name} in {session.region_name}", style="bold"))
    console.print(row("unlinks", "every log group that it has linked"))
    console.print(row("deletes", "its functions, roles, alarms, dashboard and the functions' logs"))
    console.print(row("keeps", f"{kept}, which may hold lines; the bucket of the code; secrets"))
    if not dry_run:
        confirm(f"Delete the stack {stack.name}?", yes=yes)
    is_unlinked = _unlink(place, dry_run=dry_run)
    if dry_run:
        console.print("Nothing was changed.")
        return
    _take_away(cloudformation, stack, console, is_unlinked=is_unlinked)
    console.print(f"The stack is deleted. The bucket stays: {kept}")


def _unlink(place: dict[str, Any], *, dry_run: bool) -> bool:
    """Delete all filters of the stack; return False if no function says which those are.

    Raises NotDeliveredError if some could not be deleted.
    """
    try:
        click.get_current_context().invoke(unlink, dry_run=dry_run, **place, **_UNLINK_ALL)
    except InputError:
        # The function is gone, or its settings never let it link: deleting the stack unlinks.
        return False
    return True


def _take_away(cloudformation: Any, stack: Stack, console: Console, *, is_unlinked: bool) -> None:
    """Delete the stack, even if its function can no longer unlink log groups."""
    clock, failed = current_clock(), list[str]()

    def collected(events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if event.failed and event.type != "AWS::CloudFormation::Stack":
                failed.append(event.resource)
            yield event

    try:
        try:
            print_events(collected(delete(cloudformation, stack, clock.sleep)), 0, console)
        except StackError:
            if failed != [_LINKS] or not is_unlinked:
                raise
            console.print("Everything is unlinked: deleting the rest of the stack.")
            print_events(delete(cloudformation, stack, clock.sleep, [_LINKS]), 0, console)
    except StackError as error:
        raise NotDeliveredError(f"{error}") from None
