"""`loki-shipper tail`: prints lines as they arrive in Loki, or compares them with CloudWatch."""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import click
from botocore.exceptions import BotoCoreError, ClientError

from loki_shipper.cli.aws import CommandSession, aws_errors, open_session
from loki_shipper.cli.compare_lines import CloudWatchLines, LabelInputs, compare_lines
from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.deployment import (
    current_clock,
    deployment_options,
    is_deployment_named,
    open_deployment,
)
from loki_shipper.cli.errors import InputError, settings_errors, stoppable
from loki_shipper.cli.follow_loki import LokiQuery, PollSchedule, follow_loki
from loki_shipper.cli.formatting import count_text
from loki_shipper.cli.label_decisions import Explained, explained, log_group_data
from loki_shipper.cli.line_printer import LinePrinter
from loki_shipper.cli.log_groups import log_group_named
from loki_shipper.cli.loki_lines import HEADERS
from loki_shipper.cli.object_name import SCHEME
from loki_shipper.cli.parameter_types import TAG, Duration
from loki_shipper.clock import Clock
from loki_shipper.doctor.probe import loki_probe
from loki_shipper.environment import SettingsError
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.aws import fetch_secret
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.shipper.delivery.push import LokiAccess

_INTERVAL = 1.0
_COMPARE_INTERVAL = 2.0
"""Seconds between queries. CloudWatch Logs takes few calls of FilterLogEvents a second."""

_TIME = Duration("smhd", "30s, 5m or 1h")


@click.command()
@click.argument("group", required=False, shell_complete=complete_log_groups)
@click.option("--tag", "tags", type=TAG, multiple=True, help="A tag of the log groups; repeat it.")
@click.option(
    "--since",
    type=_TIME,
    default="1m",
    show_default=True,
    help="Begin with the lines of this time.",
)
@click.option("--for", "span", type=_TIME, help="End after this time.  [default: at Ctrl-C]")
@click.option("--compare", is_flag=True, help="Show for each line whether CloudWatch Logs has it.")
@click.option("--loki", metavar="URL", help="Loki's URL.  [default: the function's]")
@click.option("--tenant", metavar="NAME", help="Tenant to read.  [default: that of the lines]")
@deployment_options
def tail(  # noqa: PLR0913 - each is an option
    *,
    group: str | None,
    tags: tuple[tuple[str, str], ...],
    since: timedelta,
    span: timedelta | None,
    compare: bool,
    loki: str | None,
    tenant: str | None,
    **which: Any,
) -> None:
    """Show lines as they arrive in Loki: those of a log GROUP, or of all log groups with a tag.

    The second column is the delay between the log event and the line's arrival in Loki. It is
    exact to a second, and to ten seconds for lines that are more than half a minute late. Lines
    that were in Loki before have no delay. Lines that are more than five minutes late are missing.

    Loki's URL, tenant and credentials are those of the deployed function. With --loki, and without
    --stack or --function, they come from the environment, and the command calls no AWS API.

    --compare shows for each line of GROUP whether CloudWatch Logs, Loki or both have it. It shows
    a line that only one of them has after 15 seconds.

    \b
    Watch a function's lines arrive:
      loki-shipper tail /aws/lambda/checkout
    \b
    Watch the lines of a team, from all its log groups:
      loki-shipper tail --tag team=payments
    \b
    Which lines are not in Loki yet? The exit code is 1 if there are any.
      loki-shipper tail /aws/lambda/checkout --compare --for 1m
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if group is None and not tags:
        raise click.UsageError("name a log group, or give --tag KEY=VALUE")
    if group is not None and group.startswith(SCHEME):
        raise click.UsageError(
            "lines of log files are minutes old when they arrive, and tail shows newer ones: query "
            f'Loki for {{source="s3", bucket="{group.removeprefix(SCHEME).partition("/")[0]}"}}'
        )
    if compare and group is None:
        raise click.UsageError("--compare needs a log group")
    if loki is not None and not is_deployment_named():
        if compare:
            raise click.UsageError(
                "--compare reads CloudWatch Logs: give --stack or --function with --loki"
            )
        with aws_errors():
            session = partial(open_session, which["profile"], which["region"])
            configured = _settings({**os.environ, "LOKI_URL": loki})
            inputs = LabelInputs(configured, "", which["region"] or "", {})
            schedule = _schedule(current_clock(), since, span, _INTERVAL)
            _print_lines(_query(inputs, session, group, dict(tags), tenant), schedule)
        return
    with open_deployment(**which) as deployment:
        environ = deployment.shipper.environ
        configured = _settings(environ if loki is None else {**environ, "LOKI_URL": loki})
        origin, known = deployment.shipper.origin, None
        if group is not None and (compare or configured.tenant_tag):
            known = log_group_named(group, deployment)
            group = known.name
        group_tags = {} if known is None else known.tags
        inputs = LabelInputs(configured, origin.account, origin.region, group_tags)
        query = _query(inputs, lambda: deployment.session, group, dict(tags), tenant)
        interval = _COMPARE_INTERVAL if compare else _INTERVAL
        schedule = _schedule(deployment.deps.clock, since, span, interval)
        if known is None or not compare:
            _print_lines(query, schedule)
        else:
            lines = CloudWatchLines(deployment, known, inputs, schedule.begin)
            compare_lines(query, schedule, lines)


def _settings(environ: Mapping[str, str]) -> Settings:
    with settings_errors("--loki or the settings"):
        return settings(environ)


def _schedule(
    clock: Clock, since: timedelta, span: timedelta | None, interval: float
) -> PollSchedule:
    now, ms = clock.now(), timedelta(milliseconds=1)
    end = float("inf") if span is None else now + span / ms
    return PollSchedule(clock, now - since // ms, end, interval)


def _query(
    inputs: LabelInputs,
    session: Callable[[], CommandSession],
    group: str | None,
    tags: Mapping[str, str],
    tenant: str | None,
) -> LokiQuery:
    """Make the query for the lines of a log group, or of all log groups with these tags."""
    configured = inputs.settings
    decisions = explained(
        log_group_data(inputs.account, group or "/"),
        {**inputs.tags, **tags},
        region=inputs.region,
        settings=configured,
    )
    reading = tenant or decisions.tenant
    if reading is None and configured.tenant_tag is not None:
        raise InputError(
            f"the tag {configured.tenant_tag} names the tenant: give --tenant, or this tag"
        )
    fixed = _fixed_labels(inputs)
    labels = [*fixed.items(), *(_label_of_tag(key, decisions) for key in tags)]
    if group is not None:
        labels.append(_label_of_group(configured, group))
    access = _access(configured, session)
    return LokiQuery(
        host=urlsplit(access.url).netloc.rpartition("@")[2],
        get=loki_probe(access, reading, HEADERS).get,
        selector=label_set(tuple(sorted(labels))),
        fixed_labels=frozenset(fixed),
    )


def _access(configured: Settings, session: Callable[[], CommandSession]) -> LokiAccess:
    try:
        return credentials(configured, lambda name: fetch_secret(name, session=session()))
    except (SettingsError, BotoCoreError, ClientError) as error:
        raise InputError(
            f"your AWS credentials cannot read the credentials for Loki ({error}): give --loki "
            "URL, and set LOKI_TOKEN, or LOKI_USERNAME and LOKI_PASSWORD, in the environment"
        ) from None


def _fixed_labels(inputs: LabelInputs) -> dict[str, str]:
    """Return the labels of all lines of the deployment: others may ship to the same Loki."""
    values = {"account_id": inputs.account, "region": inputs.region, "source": "cloudwatch"}
    names = dict(inputs.settings.builtin_labels)
    return {names[name]: value for name, value in values.items() if name in names and value}


def _label_of_group(configured: Settings, group: str) -> tuple[str, str]:
    name = dict(configured.builtin_labels).get("log_group")
    if name is None:
        raise InputError("BuiltinLabels leaves log_group out: give --tag in place of a log group")
    return name, group


def _label_of_tag(key: str, decisions: Explained) -> tuple[str, str]:
    [row] = [row for row in decisions.rows if (row.origin, row.key) == ("tag", key)]
    if row.place != "label":
        why = f" ({row.why})" if row.why else ""
        raise InputError(f"the tag {key} becomes no label{why}, so Loki cannot select by it")
    return row.name, dict(decisions.labels)[row.name]


def _print_lines(query: LokiQuery, schedule: PollSchedule) -> None:
    printer = LinePrinter(query.fixed_labels)
    with stoppable(lambda: f"stopped: {count_text(printer.count, 'line')}"):
        follow_loki(query, schedule, lambda new, _start, _now: printer.show(new))
