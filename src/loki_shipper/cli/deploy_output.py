"""Shows what `loki-shipper deploy` will do, and each resource when it is done."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.aws import CommandSession
from loki_shipper.cli.console import row
from loki_shipper.cli.errors import settings_errors
from loki_shipper.clock import Clock
from loki_shipper.deployment.cost import (
    LOG_FILES_METRICS,
    METRICS,
    Cost,
    ShipperSize,
    monthly_cost,
    monthly_gb,
)
from loki_shipper.deployment.plan import DeploymentPlan
from loki_shipper.deployment.preview import Preview, pace_by, preview, stack_settings
from loki_shipper.deployment.secret import secret_name
from loki_shipper.deployment.stack import Event
from loki_shipper.deployment.volumes import read_volumes, sums_reader, total_volume
from loki_shipper.local.progress import on_stream

_SHOWN_PARAMETERS = ("LokiUrl", "LokiSecret", "LokiTenant", "LinkMode", "IncludeLogGroups")
_SHOWN_GROUPS = 5
_ENDED = {
    "CREATE_COMPLETE": ("created", "green"),
    "UPDATE_COMPLETE": ("updated", "green"),
    "DELETE_COMPLETE": ("deleted", "yellow"),
    "DELETE_SKIPPED": ("kept", "yellow"),
}


def plan_rows(
    plan: DeploymentPlan, session: CommandSession, account: str, clock: Clock, *, stores: bool
) -> Iterator[Table | Text]:
    """Return rows that show what the deployment will do. Raises InputError."""
    name, region = plan.stack.name, plan.bucket.region
    verb = "Creates" if plan.is_first else "Updates"
    yield Text(f"{verb} the stack {name} in {region}, account {account}", style="bold")
    if plan.stack.phase in {"broken", "stuck"}:
        yield row("first", f"clears away an earlier deployment that is {plan.stack.status}")
    if plan.is_first:
        parts = [
            f"{count} {what}" if count > 1 else f"a {what}" for what, count in plan.parts.items()
        ]
        yield row("makes", ", ".join(parts))
    if plan.makes_bucket:
        yield row("makes", f"the bucket {plan.bucket.name}, for code")
    if stores:
        yield row("stores", f"the credentials in Secrets Manager, as {secret_name(name)}")
    values = plan.values if plan.is_first else {}
    for parameter in _SHOWN_PARAMETERS:
        if values.get(parameter) and parameter not in plan.changed:
            yield row(parameter, values[parameter])
    for parameter, (old, new) in plan.changed.items():
        yield row(parameter, new if plan.is_first else f"{old or 'empty'} → {new or 'empty'}")
    if not plan.has_bytecode:
        yield row(
            "note",
            "no Python 3.13 and no uv here: the code is not compiled, and cold starts take longer",
        )
    linking = {"LinkMode", "IncludeLogGroups", "ExcludeLogGroups", "TagConditions", "LogBuckets"}
    if plan.is_first or linking & plan.changed.keys():
        yield from _effects(plan, session, account, clock, secrets=int(stores))


def _effects(
    plan: DeploymentPlan, session: CommandSession, account: str, clock: Clock, *, secrets: int
) -> Iterator[Table]:
    """Return rows that show the log groups to link, and about what that costs a month."""
    try:
        with settings_errors("the parameters"):
            settings = stack_settings(plan.values, plan.stack.name, plan.bucket.region, account)
            seen = preview(session, settings, clock)
    except AwsError as error:
        yield row("links", f"log groups that could not be listed: {error.code}")
        return
    yield row("links", _groups(seen))
    if settings.log_buckets:
        names = ", ".join(f"s3://{each.bucket}/{each.prefix}" for each in settings.log_buckets)
        yield row("log files", f"those of {names}")
    read = sums_reader(session.client("cloudwatch"), clock.now(), pace_by(clock))
    volume = total_volume(read_volumes(seen.selected, read).values())
    size = ShipperSize(plan.values["Architecture"], int(plan.values["MemorySize"]))
    metrics = METRICS + (LOG_FILES_METRICS if settings.log_buckets else 0)
    cost = monthly_cost(volume, size, metrics=metrics, secrets=secrets)
    yield row("costs", f"about ${cost.total:,.2f} a month: {_shares(cost)}")
    yield row(
        "",
        f"by {monthly_gb(volume):,.2f} GB a month, as in the last 14 days; without alarms, NAT "
        "gateways and Loki itself (docs/cost.md)",
    )


def _groups(seen: Preview) -> str:
    named = seen.selected[:_SHOWN_GROUPS]
    rest = len(seen.selected) - len(named)
    more = [f"{rest:,} more"] if rest else []
    which = f": {', '.join([*named, *more])}" if named else ""
    return f"{len(seen.selected):,} of {seen.total:,} log groups{which}"


def _shares(cost: Cost) -> str:
    shares = (
        ("metrics", cost.metrics),
        ("Lambda", cost.shipping.functions),
        ("its own log", cost.shipping.own_log),
        ("data transfer", cost.shipping.transfer),
        ("dashboard", cost.dashboard),
        ("the secret", cost.secret),
    )
    return ", ".join(f"{what} ${dollars:,.2f}" for what, dollars in shares if dollars)


def print_events(events: Iterable[Event], total: int, console: Console) -> None:
    """Print each resource when it is done, and meanwhile the one in progress."""
    tell, done = on_stream(), 0
    for event in events:
        word, style = _ENDED.get(event.status, ("", ""))
        if event.failed:
            word, style = "failed", "red"
        if not word:
            tell(f"{done} of {total}: {event.resource} …" if total else f"{event.resource} …")
            continue
        done += 1
        tell("")
        why = f": {event.reason}" if event.failed else ""
        console.print(Text.assemble((f"{word:<9}", style), f"{event.resource}{why}"))
    tell("")
