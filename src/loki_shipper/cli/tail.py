"""`loki-shipper tail`: lines as they arrive in Loki, and beside them those of CloudWatch Logs."""

import os
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import click
from botocore.exceptions import BotoCoreError, ClientError

from loki_shipper.cli.aws import aws_errors, open_session
from loki_shipper.cli.compare import CloudWatchLines, LabelSources, show_both
from loki_shipper.cli.deployment import (
    Deployment,
    current_clock,
    deployment_options,
    is_given,
    open_deployment,
)
from loki_shipper.cli.errors import InputError, stoppable
from loki_shipper.cli.invoke import Tag
from loki_shipper.cli.label_decisions import explained
from loki_shipper.cli.length import Length
from loki_shipper.cli.line_printer import LinePrinter, count_text
from loki_shipper.cli.log_group_names import complete_log_groups
from loki_shipper.cli.loki_lines import HEADERS
from loki_shipper.cli.looks import Looks, Source, follow
from loki_shipper.clock import Clock
from loki_shipper.doctor.probe import loki_probe
from loki_shipper.model import LogData
from loki_shipper.settings import Settings, SettingsError, settings
from loki_shipper.shipper import aws
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.model import LogGroup

_EVERY = 1.0
_EVERY_COMPARED = 2.0
"""Seconds between looks. CloudWatch Logs takes few calls of FilterLogEvents a second."""

_TIME = Length("smhd", "30s, 5m or 1h")


@click.command()
@click.argument("group", required=False, shell_complete=complete_log_groups)
@click.option(
    "--tag", "tags", type=Tag(), multiple=True, help="A tag of the log groups; repeat it."
)
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
    """Show the lines of a log GROUP, or of all with a tag, as they arrive in Loki.

    The second column is the delay: from the time of the log event until Loki had the line, to a
    second, and to ten seconds for lines that are more than half a minute late. Lines that were
    there before have none. Lines that are more than five minutes late are not seen.

    Loki's URL, tenant and credentials are those of the deployed function. With --loki, and without
    --stack or --function, AWS is not asked: they come from the environment, as for `doctor`.

    With --compare, each line of GROUP is shown with where it is: in CloudWatch Logs, in Loki, or
    in both. A line that is in only one of them is shown after 15 seconds.

    \b
    Watch a function's lines arrive:
      loki-shipper tail /aws/lambda/checkout
    \b
    Watch those of a team, from all its log groups:
      loki-shipper tail --tag team=payments
    \b
    Which lines are not in Loki yet? Exits with 1 when some are not.
      loki-shipper tail /aws/lambda/checkout --compare --for 1m
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if group is None and not tags:
        raise click.UsageError("name a log group, or give --tag KEY=VALUE")
    if compare and group is None:
        raise click.UsageError("--compare needs a log group")
    if loki is not None and not (is_given("stack") or is_given("function")):
        if compare:
            raise click.UsageError("--compare asks AWS too: give --stack or --function with --loki")
        with aws_errors():
            session = partial(open_session, which["profile"], which["region"])
            configured = _settings({**os.environ, "LOKI_URL": loki})
            place = LabelSources(configured, session, "", which["region"] or "", {})
            looks = _looks(current_clock(), since, span, _EVERY)
            _show_lines(_source(place, group, dict(tags), tenant), looks)
        return
    with open_deployment(**which) as deployment:
        environ = deployment.shipper.environ
        configured = _settings(environ if loki is None else {**environ, "LOKI_URL": loki})
        origin = deployment.shipper.origin
        known = _known(deployment, group) if compare or configured.tenant_tag else None
        of_group = {} if known is None else known.tags
        place = LabelSources(
            configured, lambda: deployment.session, origin.account, origin.region, of_group
        )
        source = _source(place, group, dict(tags), tenant)
        looks = _looks(deployment.deps.clock, since, span, _EVERY_COMPARED if compare else _EVERY)
        if known is None or not compare:
            _show_lines(source, looks)
        else:
            show_both(source, looks, CloudWatchLines(deployment, known, place, looks.begin))


def _settings(environ: Mapping[str, str]) -> Settings:
    try:
        return settings(environ)
    except SettingsError as error:
        raise InputError(f"correct --loki or the settings: {error}") from None


def _looks(clock: Clock, since: timedelta, span: timedelta | None, every: float) -> Looks:
    now, ms = clock.now(), timedelta(milliseconds=1)
    return Looks(clock, now - since // ms, float("inf") if span is None else now + span / ms, every)


def _known(deployment: Deployment, name: str | None) -> LogGroup | None:
    if name is None:
        return None
    seen = take_inventory(deployment.deps.aws, deployment.deps.clock.now(), [name])
    if seen.missing:
        raise InputError(f"there is no log group {name}: check its name and --region")
    [group] = seen.groups
    return group


def _source(
    place: LabelSources, group: str | None, tags: Mapping[str, str], tenant: str | None
) -> Source:
    configured = place.configured
    data = LogData("DATA_MESSAGE", place.account, group or "/", "", [])
    of_lines = explained(data, {**place.tags, **tags}, region=place.region, settings=configured)
    reading = tenant or of_lines.tenant
    if reading is None and configured.tenant_tag is not None:
        raise InputError(
            f"the tag {configured.tenant_tag} says whose the lines are: give --tenant, or this tag"
        )
    fixed = _fixed(place)
    labels = [*fixed.items()]
    if group is not None:
        labels.append(_label_of_group(configured, group))
    for key in tags:
        [row] = [row for row in of_lines.rows if (row.origin, row.key) == ("tag", key)]
        if row.place != "label":
            why = f" ({row.why})" if row.why else ""
            raise InputError(f"the tag {key} becomes no label{why}, so Loki cannot select by it")
        labels.append((row.name, dict(of_lines.labels)[row.name]))
    try:
        access = credentials(
            configured, lambda name: aws.fetch_secret(name, session=place.session())
        )
    except (SettingsError, BotoCoreError, ClientError) as error:
        raise InputError(
            f"the credentials for Loki cannot be read as you ({error}): give --loki URL, with "
            "LOKI_TOKEN, or LOKI_USERNAME and LOKI_PASSWORD, in the environment"
        ) from None
    get = loki_probe(access, reading, HEADERS).get
    host = urlsplit(access.url).netloc.rpartition("@")[2]
    return Source(host, get, label_set(tuple(sorted(labels))), frozenset(fixed))


def _fixed(place: LabelSources) -> dict[str, str]:
    """Give the labels of all lines of the deployment: others may ship to the same Loki."""
    known = {"account_id": place.account, "region": place.region, "source": "cloudwatch"}
    names = dict(place.configured.builtin_labels)
    return {names[name]: value for name, value in known.items() if name in names and value}


def _label_of_group(configured: Settings, group: str) -> tuple[str, str]:
    name = dict(configured.builtin_labels).get("log_group")
    if name is None:
        raise InputError("BuiltinLabels leaves log_group out: give --tag in place of a log group")
    return name, group


def _show_lines(source: Source, looks: Looks) -> None:
    printer = LinePrinter(source.fixed)
    with stoppable(lambda: f"stopped: {count_text(printer.count)}"):
        follow(source, looks, lambda new, _start, _now: printer.show(new))
