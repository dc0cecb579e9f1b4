"""`loki-shipper status`: shows the linked log groups, their deliveries, and what waits."""

from functools import partial
from typing import Any, assert_never

import click
from rich.console import Console

from loki_shipper.aws.arn import function_name
from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.canary_status import CanaryStatus, read_canary
from loki_shipper.cli.console import line_console
from loki_shipper.cli.deployment import Deployment, deployment_options, open_deployment
from loki_shipper.cli.errors import settings_errors
from loki_shipper.cli.filter_metrics import Delivery, delivery, last_redrives, policy_delivery
from loki_shipper.cli.formatting import time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.label_decisions import log_group_data
from loki_shipper.cli.notify_objects import log_files_queue
from loki_shipper.cli.object_name import SCHEME
from loki_shipper.cli.status_output import (
    Backlog,
    LogFilesBacklog,
    Status,
    StatusRow,
    clock_line,
    status_text,
)
from loki_shipper.model import Pairs
from loki_shipper.redriver.bucket import REJECTED, WAITING_NOW
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.subscriber.filters.observe import FilterReader, never, observe
from loki_shipper.subscriber.filters.plan import DeleteFilter, PutFilter, SkipGroup, plan
from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.groups.select import Selection, is_selected
from loki_shipper.subscriber.model import Filters, LogGroup, ObservedGroup, Reason
from loki_shipper.subscriber.policy.account_policy import read_policy
from loki_shipper.subscriber.policy.keep import POLICY_ROW
from loki_shipper.subscriber.run.dependencies import read_memory
from loki_shipper.subscriber.run.reconcile import current_selection

_INTERVAL = 15.0
_FIXED_LABELS = {"account_id", "log_group", "region", "source"}


@click.command()
@deployment_options
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
@click.option("--watch", is_flag=True, help="Repeat it every 15 seconds, until Ctrl-C.")
def status(*, as_json: bool, watch: bool, **which: Any) -> None:
    """Show the log groups that are linked or should be, and the deliveries of the last 24 hours.

    `last` is when CloudWatch Logs last delivered lines. `errors` counts the deliveries that failed
    or were throttled. At the end stand the objects that wait in the bucket, the last run of the
    redrivers, and the last lines of the canary, if there is one.

    In a pipe each log group has one line. --watch works in a pipe too.

    \b
    Watch how log groups are linked and unlinked:
      loki-shipper status --watch
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    with open_deployment(**which) as deployment:
        if as_json:
            print_objects(map(_as_object, rows(deployment)))
            return
        console = line_console()
        _print(console, deployment, watched=watch)
        while watch:
            deployment.deps.clock.sleep(_INTERVAL)
            _print(console, deployment, watched=True)


def _print(console: Console, deployment: Deployment, *, watched: bool) -> None:
    now = deployment.deps.clock.now()
    lines = [*status_text(read_status(deployment), now, _width(console))]
    if watched:
        # On a terminal each status replaces the one before. A pipe gets all of them.
        console.clear()
        lines = [clock_line(now), *lines]
    for line in lines:
        console.print(line)
    console.file.flush()


def _width(console: Console) -> int | None:
    return console.width if console.is_terminal else None


def read_status(deployment: Deployment) -> Status:
    """Read the status of the log groups, the bucket and the redrivers."""
    deps = deployment.deps
    bucket = deps.settings.bucket
    return Status(
        rows(deployment),
        stopped=read_memory(deps).stopped,
        backlog=None if bucket is None else _backlog(bucket, deployment.client("s3")),
        redrives=last_redrives(
            deps.settings.stack,
            deps.clock.now(),
            get_metric_data=deployment.client("cloudwatch").get_metric_data,
        ),
        log_files=None if deps.settings.log_files_queue is None else _log_files(deployment),
        canary=_canary(deployment),
    )


def _log_files(deployment: Deployment) -> LogFilesBacklog:
    """Count the messages about log files. SQS's numbers are some seconds old."""
    named = deployment.own.log_buckets
    buckets = ", ".join(dict.fromkeys(f"{SCHEME}{each.bucket}" for each in named))
    try:
        queue = log_files_queue(deployment)
        return LogFilesBacklog(buckets, queue.waiting(), queue.shipping(), queue.dead())
    except AwsError as error:
        return LogFilesBacklog(buckets, fault=error.code)


def _canary(deployment: Deployment) -> CanaryStatus | None:
    log_group = deployment.canary_log_group
    if log_group is None:
        return None
    return read_canary(log_group, deployment.client("logs"), deployment.deps.clock.now())


def _backlog(bucket: str, s3: Any) -> Backlog:
    """List the first thousand objects of each folder, which is enough to see a backlog."""
    try:
        *waiting, rejected = call_boto(
            lambda: [_page(bucket, folder, s3) for folder in (*WAITING_NOW, REJECTED)]
        )
    except AwsError as error:
        return Backlog(fault=error.code)
    written = [each["LastModified"] for page in waiting for each in page.get("Contents", ())]
    return Backlog(
        objects=len(written),
        more=any(page.get("IsTruncated") for page in (*waiting, rejected)),
        oldest=int(min(written).timestamp() * 1000) if written else None,
        rejected=len(rejected.get("Contents", ())),
    )


def _page(bucket: str, folder: str, s3: Any) -> Any:
    return s3.list_objects_v2(Bucket=bucket, Prefix=folder)


def rows(deployment: Deployment) -> list[StatusRow]:
    """Return the rows of the log groups that are linked or should be, by name."""
    deps = deployment.deps
    if deps.settings.link_mode == "account":
        return [_policy(deployment)]
    memory = read_memory(deps)
    inventory = take_inventory(deps.aws, deps.clock.now())
    reader = FilterReader(deps.aws.filters, deps.clock.remaining)
    rules = current_selection(deps.settings, memory)
    noted = {
        each.group.name: (each, note)
        for each in observe(
            inventory.groups, memory, never, reader, partial(is_selected, selection=rules)
        )
        if (note := _note(each, rules)) is not None
    }
    measured = delivery(
        noted,
        deps.settings.filter_name,
        deps.clock.now(),
        get_metric_data=deployment.client("cloudwatch").get_metric_data,
    )
    shipper = _shipper(deployment)
    return [
        _row(each, note, _labels(each.group, shipper, deployment), measured[name])
        for name, (each, note) in sorted(noted.items())
    ]


def _note(seen: ObservedGroup, rules: Selection) -> str | None:
    """Return the note on a log group: "" if all is well, None if it is none of ours."""
    [action] = plan([seen], rules)
    match action:
        case PutFilter(why="new"):
            return "to be linked"
        case PutFilter():
            return "to be linked again"
        case DeleteFilter(reason=reason):
            return f"to be unlinked: {reason.words}"
        case SkipGroup(reason=Reason.LINKED):
            return ""
        case SkipGroup(
            reason=Reason.FULL | Reason.LOG_CLASS | Reason.NO_TENANT as reason, detail=detail
        ):
            return ": ".join(filter(None, (reason.words, detail)))
        case SkipGroup(reason=Reason.UNREADABLE as reason, detail=detail):
            return f"{reason.words}: {detail}"
        case SkipGroup():
            return None
        case _:
            assert_never(action)


def _row(seen: ObservedGroup, note: str, labels: Pairs, measured: Delivery) -> StatusRow:
    ours = seen.filters.ours if isinstance(seen.filters, Filters) else None
    since = None if ours is None else ours.since
    return StatusRow(
        group=seen.group.name,
        linked=ours is not None,
        note=note,
        since=since,
        labels=labels,
        delivery=measured,
    )


def _policy(deployment: Deployment) -> StatusRow:
    texts = deployment.deps.aws.account_policy()
    policy = None if texts is None else read_policy(texts.document, texts.criteria)
    note = "to be put" if policy is None else f"all but {len(policy.excluded):,} log groups"
    settings = deployment.deps.settings
    measured = policy_delivery(
        function_name(settings.filter_destination) or "",
        settings.stack,
        deployment.deps.clock.now(),
        get_metric_data=deployment.client("cloudwatch").get_metric_data,
    )
    return StatusRow(
        group=POLICY_ROW,
        linked=policy is not None,
        note=note,
        since=None,
        labels=(),
        delivery=measured,
    )


def _shipper(deployment: Deployment) -> Settings | None:
    """Return the settings of the shipper; None if it is in the account of a hub."""
    if deployment.is_member:
        return None
    with settings_errors("the shipper's settings"):
        return settings(deployment.shipper.environ)


def _labels(group: LogGroup, shipper: Settings | None, deployment: Deployment) -> Pairs:
    if shipper is None:
        return ()
    origin = deployment.deps.settings.origin
    data = log_group_data(origin.account, group.name)
    labels = label_stream(data, group.tags, region=origin.region, settings=shipper).stream.labels
    return tuple(pair for pair in labels if pair[0] not in _FIXED_LABELS)


def _as_object(row: StatusRow) -> dict[str, Any]:
    measured = row.delivery
    return {
        "log_group": row.group,
        "linked": row.linked,
        "note": row.note,
        "since": None if row.since is None else time_text(row.since),
        "last": None if measured.last is None else time_text(measured.last),
        "lines": measured.lines,
        "errors": measured.errors,
        "throttled": measured.throttled,
        "labels": dict(row.labels),
    }
