"""`loki-shipper audit`: compares CloudWatch Logs, the shipper, the bucket and Loki."""

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from msgspec.structs import replace

from loki_shipper import prices
from loki_shipper.audit.calls import insights, loki_queries, metric_data, stored_objects
from loki_shipper.audit.loki import LokiQueries
from loki_shipper.audit.model import AuditedGroup, NotRead
from loki_shipper.audit.own_log import FunctionLogs
from loki_shipper.audit.run import AuditCalls, AuditVolume, audit_window, estimate
from loki_shipper.audit.run import audit as audit_groups
from loki_shipper.cli.audit_output import as_object, audit_text
from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.console import line_console
from loki_shipper.cli.deployment import Deployment, deployment_options, open_deployment
from loki_shipper.cli.errors import InputError, settings_errors
from loki_shipper.cli.formatting import count_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.log_groups import log_groups_named
from loki_shipper.cli.parameter_types import Duration
from loki_shipper.deployed_functions import FunctionKind
from loki_shipper.environment import SettingsError
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.aws import fetch_secret
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.subscriber.filters.observe import FilterReader, never, observe
from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.groups.select import is_selected
from loki_shipper.subscriber.run.audited_groups import audited_groups
from loki_shipper.subscriber.run.dependencies import read_memory
from loki_shipper.subscriber.run.reconcile import current_selection

_HOUR = timedelta(hours=1)
_DIFFERS = 1
_CENT = 0.01


@click.command()
@click.argument("groups", nargs=-1, metavar="[GROUP]...", shell_complete=complete_log_groups)
@click.option(
    "--since",
    type=Duration("hd", "6h or 2d"),
    default="1d",
    show_default=True,
    help="Audit the whole hours of this time.",
)
@click.option("--loki", metavar="URL", help="Loki's URL for queries.  [default: the stack's]")
@click.option("--tenant", "tenants", multiple=True, help="A tenant to read; repeat it.")
@deployment_options
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def audit(
    *,
    groups: tuple[str, ...],
    since: timedelta,
    loki: str | None,
    tenants: tuple[str, ...],
    as_json: bool,
    **which: Any,
) -> None:
    """Compare what CloudWatch Logs took in with what the shipper did and what Loki holds.

    Without a GROUP, it audits all log groups that are linked. Lines that a filter pattern or a rule
    leaves out are no difference. For all others it names the place: rejected/ or another folder of
    the bucket, Lambda's queue, or nowhere. The exit code is 1 if a line is not in Loki that should
    be there, or if the functions' logs cannot be read.

    Loki is read with the credentials in LokiReadSecret, else with the shipper's. In the
    environment, LOKI_TOKEN, or LOKI_USERNAME and LOKI_PASSWORD, replace them. The cost of the audit
    is printed first.

    \b
    Is every line of the last day in Loki?
      loki-shipper audit
    \b
    What happened to the lines of one log group in the last six hours?
      loki-shipper audit /aws/lambda/checkout --since 6h
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    hours = since // _HOUR
    if hours < 1:
        raise click.UsageError("--since must be an hour or more")
    with open_deployment(**which) as deployment:
        window = audit_window(deployment.deps.clock.now(), hours)
        chosen = [
            replace(each, tenants=tenants or each.tenants) for each in _groups(groups, deployment)
        ]
        calls = replace(_calls(loki, deployment), rule_tenants=bool(tenants))
        click.echo(_cost_text(chosen, estimate(window, chosen, calls)), err=True)
        audits = audit_groups(window, chosen, calls, with_reasons=True)
    if as_json:
        print_objects(map(as_object, audits))
    else:
        console = line_console()
        for line in audit_text(audits, window, every=bool(groups)):
            console.print(line)
    if not all(each.agrees for each in audits):
        raise click.exceptions.Exit(_DIFFERS)


def _groups(words: tuple[str, ...], deployment: Deployment) -> Iterator[AuditedGroup]:
    """Give the log groups to audit, by name. Raises InputError."""
    if deployment.is_member:
        raise InputError(
            f"{deployment.name} has no shipper, so its lines cannot be followed: audit the hub"
        )
    deps = deployment.deps
    memory = read_memory(deps)
    inventory = (
        log_groups_named(words, deployment) if words else take_inventory(deps.aws, deps.clock.now())
    )
    selection = current_selection(deps.settings, memory)
    observed = observe(
        inventory.groups,
        memory,
        never,
        FilterReader(deps.aws.filters, deps.clock.remaining),
        partial(is_selected, selection=selection),
    )
    found = [*audited_groups(observed, memory, selection)]
    if not found:
        raise InputError("none of these log groups is linked: loki-shipper plan")
    yield from sorted(found, key=lambda each: each.name)


def _calls(loki: str | None, deployment: Deployment) -> AuditCalls:
    deps = deployment.deps
    bucket = deps.settings.bucket
    by_policy = deps.settings.link_mode == "account"
    call = deployment.pace
    return AuditCalls(
        metric_data(deployment.client("cloudwatch"), call),
        insights(deployment.client("logs"), call, deps.clock.sleep),
        NotRead("there is none")
        if bucket is None
        else stored_objects(deployment.client("s3"), bucket, call),
        _loki(loki, deployment),
        FunctionLogs(
            (deployment.shipper.log_group, *_logs(deployment, "kinesis")),
            _logs(deployment, "redriver"),
        ),
        None if by_policy else deps.settings.filter_name,
        deps.settings.origin.account,
    )


def _logs(deployment: Deployment, kind: FunctionKind) -> tuple[str, ...]:
    return tuple(each.log_group for each in deployment.functions if each.kind == kind)


def _loki(url: str | None, deployment: Deployment) -> LokiQueries | NotRead:
    configured = _reading(url, deployment)
    session = deployment.session
    try:
        access = credentials(configured, lambda name: fetch_secret(name, session=session))
    except (SettingsError, BotoCoreError, ClientError) as error:
        return NotRead(f"not read: your AWS credentials cannot read those for Loki ({error})")
    clock = deployment.deps.clock
    origin = deployment.deps.settings.origin
    return loki_queries(access, configured, origin, now=clock.now(), sleep=clock.sleep)


def _reading(url: str | None, deployment: Deployment) -> Settings:
    """Give the shipper's settings with the URL and the credentials for queries."""
    environ = dict(deployment.shipper.environ)
    for function in deployment.functions:
        environ |= {
            name: value
            for name in ("LOKI_READ_URL", "LOKI_READ_SECRET")
            if (value := function.environ.get(name))
        }
    environ["LOKI_URL"] = url or environ.get("LOKI_READ_URL") or environ.get("LOKI_URL", "")
    environ["LOKI_SECRET"] = environ.get("LOKI_READ_SECRET") or environ.get("LOKI_SECRET", "")
    own = {
        name: value
        for name in ("LOKI_TOKEN", "LOKI_USERNAME", "LOKI_PASSWORD")
        if (value := os.environ.get(name))
    }
    if own:
        environ |= {"LOKI_SECRET": "", **own}
    with settings_errors("--loki or the settings"):
        return settings(environ)


def _cost_text(groups: Sequence[AuditedGroup], volume: AuditVolume) -> str:
    metrics = volume.metrics * prices.METRIC_READ.dollars
    log = volume.log_bytes / prices.GB * prices.LOGS_INSIGHTS_GB.dollars
    dollars = metrics + log
    costs = f"${dollars:,.2f}" if dollars >= _CENT else "less than $0.01"
    return (
        f"{count_text(len(groups), 'log group')}: this audit reads "
        f"{count_text(volume.metrics, 'metric')}, {volume.log_bytes / prices.GB:,.3f} GB of the "
        f"functions' logs and sends {count_text(volume.loki_queries, 'query', 'queries')} to Loki; "
        f"it costs {costs}"
    )
