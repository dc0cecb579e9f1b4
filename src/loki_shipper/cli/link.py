"""`loki-shipper link`: puts subscription filters, and deletes those that are no longer selected."""

from collections.abc import Iterator
from typing import Any

import click
from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.confirm import confirm, yes_option
from loki_shipper.cli.deployment import Deployment, open_deployment, selection_options
from loki_shipper.cli.errors import NotDeliveredError, stoppable
from loki_shipper.cli.formatting import count_text
from loki_shipper.cli.link_output import LinkResult, print_actions, print_result
from loki_shipper.cli.log_buckets import split_names
from loki_shipper.cli.log_groups import is_pattern, log_groups_named
from loki_shipper.cli.progress import outcome_bar
from loki_shipper.cli.retention import (
    Retention,
    change_retention,
    planned_retention,
    require_bucket,
    retention_faults,
    retention_question,
)
from loki_shipper.subscriber.filters.observe import RecheckPolicy, always, never
from loki_shipper.subscriber.first_lines.ship_due import ship_first_lines
from loki_shipper.subscriber.groups.inventory import Inventory, take_inventory
from loki_shipper.subscriber.groups.select import Selection, manual_choices
from loki_shipper.subscriber.memory import Memory, MemoryUpdate, merge_memory
from loki_shipper.subscriber.run.dependencies import read_memory, remember
from loki_shipper.subscriber.run.link_log_buckets import planned_buckets
from loki_shipper.subscriber.run.reconcile import current_selection, planned_actions, reconcile
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.settings import SubscriberSettings

STOPPED = "stopped: what is done is kept, and the same command goes on with the rest"


@click.command()
@click.argument("groups", nargs=-1, metavar="[GROUP]...", shell_complete=complete_log_groups)
@click.option("--all", "all_groups", is_flag=True, help="Do what `plan` shows.")
@selection_options
@click.option("--fresh", is_flag=True, help="Read the filters of every log group, four a second.")
@click.option(
    "--retention",
    type=Retention(),
    help="Let CloudWatch Logs keep the lines for so long, such as 7d, where they never expire.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def link(  # noqa: PLR0913 - each is an option
    *,
    groups: tuple[str, ...],
    all_groups: bool,
    fresh: bool,
    retention: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Link log groups to Loki: each GROUP, or all that the selection chooses.

    GROUP is a name, an ARN, or a pattern in quotes for log groups that exist now. It stays linked
    until `unlink` names it, even if the selection does not choose it. s3://BUCKET is a bucket of
    LogBuckets that `unlink` has named. --all also unlinks log groups
    that the selection no longer chooses. A minute later the command ships the first lines of log
    groups that are less than a day old. `backfill` ships older lines.

    --retention deletes older lines in CloudWatch Logs for good, so it asks first on a terminal. It
    changes only log groups that never expire, and `unlink` takes it back.

    You can stop the command at any time. What it has done stays done, and the same command goes on
    with the rest.

    \b
    Link one log group now:
      loki-shipper link /ecs/checkout
    \b
    Link the log groups of one team that exist now:
      loki-shipper link '/ecs/payments-*'
    \b
    Do now what the stack's next sweep would do:
      loki-shipper link --all
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    check_groups(groups, all_groups=all_groups)
    with open_deployment(**which) as deployment:
        if retention is not None:
            require_bucket(deployment)
            confirm(retention_question(retention), yes=yes or dry_run)
        if groups:
            job = job_for_names(deployment, groups, linked=True)
        else:
            job = job_for_all(deployment, MemoryUpdate(stopped=False), fresh=fresh)
        run_job(deployment, job, dry_run=dry_run, as_json=as_json, retention=retention)
    if any(map(is_pattern, groups)) and not dry_run:
        click.echo(
            "new log groups that match are not linked by themselves: IncludeLogGroups does that",
            err=True,
        )
    if all_groups and deployment.sweeps and deployment.has_overrides and not dry_run:
        click.echo("the stack's next sweep uses its own selection again", err=True)


def check_groups(groups: tuple[str, ...], *, all_groups: bool) -> None:
    """Refuse log groups together with --all, and neither of them. Raises UsageError."""
    if all_groups and groups:
        raise click.UsageError(
            f"--all does not go with names: leave out --all, or {' '.join(groups)}"
        )
    if not all_groups and not groups:
        raise click.UsageError("name log groups, or give --all")


class LinkJob(Struct, frozen=True):
    """The log groups to link or unlink, the selection that decides, and the memory to go by.

    `memory` includes `memory_update`, which is to be written before anything is linked.
    """

    inventory: Inventory
    selection: Selection
    memory: Memory
    memory_update: MemoryUpdate
    recheck: RecheckPolicy


def job_for_names(deployment: Deployment, groups: tuple[str, ...], *, linked: bool) -> LinkJob:
    """Link or unlink the log groups that you named. Raises UsageError, InputError, AwsError."""
    if deployment.has_overrides:
        raise click.UsageError("--include, --exclude and --tag go with --all")
    names, buckets = split_names(groups, deployment.own)
    inventory = replace(log_groups_named(names, deployment), buckets=bool(buckets))
    return job_by_hand(deployment, inventory, linked=linked, buckets=buckets)


def job_by_hand(
    deployment: Deployment, inventory: Inventory, *, linked: bool, buckets: tuple[str, ...] = ()
) -> LinkJob:
    """Link or unlink all of these log groups and buckets, and remember that you ordered it.

    Raises AwsError.
    """
    memory = read_memory(deployment.deps)
    rules = current_selection(deployment.own, memory)
    # A bucket can be linked only as LogBuckets says, so only `unlink` is a choice of its own.
    of_buckets = dict.fromkeys(buckets, None if linked else False)
    choices = manual_choices(inventory.groups, rules, linked=linked) | of_buckets
    return _job(inventory, deployment.own, memory, MemoryUpdate(by_hand=choices), recheck=always)


def job_for_all(deployment: Deployment, update: MemoryUpdate, *, fresh: bool) -> LinkJob:
    """Link what the selection chooses, and unlink the rest. Raises AwsError."""
    deps = deployment.deps
    now = deps.clock.now()
    memory = read_memory(deps)
    inventory = take_inventory(deps.aws, now)
    return _job(inventory, deps.settings, memory, update, recheck=always if fresh else never)


def _job(
    inventory: Inventory,
    settings: SubscriberSettings,
    memory: Memory,
    update: MemoryUpdate,
    *,
    recheck: RecheckPolicy,
) -> LinkJob:
    merged = merge_memory(memory, update)
    return LinkJob(inventory, current_selection(settings, merged), merged, update, recheck)


def print_plan(
    deployment: Deployment, job: LinkJob, *, as_json: bool, retention: int | None = None
) -> None:
    """Print what a job would do. Raises AwsError."""
    deps = deployment.deps
    has_buckets = job.inventory.buckets
    buckets = planned_buckets(job.selection, job.memory, deps) if has_buckets else ()
    actions = [*planned_actions(job.inventory, job.selection, job.memory, job.recheck, deps)]
    changes = planned_retention(job.inventory.groups, actions, retention)
    print_actions(actions, list(buckets), job.selection.by_hand, changes, as_json=as_json)


def run_job(
    deployment: Deployment,
    job: LinkJob,
    *,
    dry_run: bool,
    as_json: bool,
    retention: int | None = None,
) -> None:
    """Do a job and print the result, or with `dry_run` only print what it would do.

    Raises AwsError, ConflictError, and NotDeliveredError if a log group failed.
    """
    if dry_run:
        print_plan(deployment, job, as_json=as_json, retention=retention)
        return
    remember(job.memory_update, deployment.deps)
    with stoppable(STOPPED), outcome_bar(len(job.inventory.groups)) as bar:
        deps = deployment.deps_with(bar, bar.add_bucket)
        state = reconcile(job.inventory, job.selection, job.memory, job.recheck, deps)
        if state.due:
            click.echo("shipping first lines in a minute, when the filters are effective", err=True)
        ship_first_lines(state, deps)
        changes = change_retention(deployment, job.inventory.groups, bar.outcomes, retention)
    by_hand = job.selection.by_hand
    first_lines = state.first_lines
    result = LinkResult(bar.outcomes, state.report(), first_lines, by_hand, bar.buckets, changes)
    finish(result, as_json=as_json)


def finish(result: LinkResult, *, as_json: bool) -> None:
    """Print a result. Raises NotDeliveredError if a log group failed."""
    print_result(result, as_json=as_json)
    if faults := "; ".join((*_faults(result.report), *retention_faults(result.retention))):
        raise NotDeliveredError(faults)


def _faults(report: RunReport) -> Iterator[str]:
    if report.failed:
        yield (
            f"{len(report.failed):,} log groups failed: remove the cause that stands beside each, "
            "and repeat the command"
        )
    if report.buckets.failed:
        yield (
            f"{count_text(len(report.buckets.failed), 'bucket')} failed: remove the cause that "
            "stands beside each, and repeat the command"
        )
    if report.given_up:
        yield (
            f"the first lines of {len(report.given_up):,} log groups are given up: raise Loki's "
            "reject_old_samples_max_age, and ship them with `loki-shipper backfill`"
        )
