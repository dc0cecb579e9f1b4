"""`loki-shipper link`: filters are put, and deleted where the selection has changed."""

from collections.abc import Iterator
from typing import Any

import click
from msgspec import Struct

from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.deployment import Deployment, open_deployment, selection_options
from loki_shipper.cli.errors import NotDeliveredError, stoppable
from loki_shipper.cli.link_output import Finished, show_actions, show_outcomes
from loki_shipper.cli.log_groups import is_pattern, log_groups_named
from loki_shipper.cli.progress import counting
from loki_shipper.subscriber.filters.observe import always, never
from loki_shipper.subscriber.first_lines.ship_due import ship_first_lines
from loki_shipper.subscriber.groups.inventory import Inventory, take_inventory
from loki_shipper.subscriber.groups.select import manual_choices
from loki_shipper.subscriber.memory import Memory, MemoryUpdate, merge_memory
from loki_shipper.subscriber.run.dependencies import read_memory, remember
from loki_shipper.subscriber.run.reconcile import current_selection, planned_actions, reconcile
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.settings import SubscriberSettings

GOES_ON = "stopped: what is done is kept, and the same command goes on with the rest"


@click.command()
@click.argument("groups", nargs=-1, metavar="[GROUP]...", shell_complete=complete_log_groups)
@click.option("--all", "all_of_them", is_flag=True, help="Do what `plan` shows.")
@selection_options
@click.option("--fresh", is_flag=True, help="Look at every log group again, four a second.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def link(
    *,
    groups: tuple[str, ...],
    all_of_them: bool,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Link log groups to Loki: each GROUP, or all that the selection chooses.

    GROUP is a name, an ARN, or a pattern in quotes for the log groups that are there now. It linked
    whatever the selection says, until `unlink` names it. With --all, log groups that the selection
    no longer chooses are unlinked. The first lines of log groups that are less than a day old are
    shipped too, a minute later; `backfill` ships more of the past.

    Stop it at any time: what is done is done, and the same command goes on with the rest.

    \b
    Link one log group now:
      loki-shipper link /ecs/checkout
    \b
    Link those of one team that are there now:
      loki-shipper link '/ecs/payments-*'
    \b
    Do what the stack's next sweep would do, now:
      loki-shipper link --all
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    check_names(groups, everything=all_of_them)
    with open_deployment(**which) as deployment:
        job = (
            by_name(deployment, groups, linked=True)
            if groups
            else everything(deployment, fresh=fresh)
        )
        act(deployment, job, dry_run=dry_run, as_json=as_json)
    if any(map(is_pattern, groups)) and not dry_run:
        click.echo(
            "new log groups that match are not linked by themselves: IncludeLogGroups does that",
            err=True,
        )
    if all_of_them and deployment.sweeps and deployment.has_overrides and not dry_run:
        click.echo("the stack's next sweep goes by its own selection again", err=True)


def check_names(groups: tuple[str, ...], *, everything: bool) -> None:
    """Refuse names beside --all, and neither. Raises UsageError."""
    if everything and groups:
        raise click.UsageError(
            f"--all does not go with names: leave out --all, or {' '.join(groups)}"
        )
    if not everything and not groups:
        raise click.UsageError("name log groups, or say --all")


class Job(Struct, frozen=True):
    """What to link or unlink: log groups, by which rules, after what is to be remembered first."""

    seen: Inventory
    settings: SubscriberSettings
    memory: Memory
    memory_update: MemoryUpdate
    fresh: bool


def by_name(deployment: Deployment, groups: tuple[str, ...], *, linked: bool) -> Job:
    """Link or unlink these log groups."""
    if deployment.has_overrides:
        raise click.UsageError("--include, --exclude and --tag go with --all")
    return ordered(deployment, log_groups_named(groups, deployment), linked=linked)


def ordered(deployment: Deployment, seen: Inventory, *, linked: bool) -> Job:
    """Link or unlink what was seen, as ordered by hand."""
    memory = read_memory(deployment.deps)
    ruled = current_selection(deployment.own, memory)
    memory_update = MemoryUpdate(by_hand=manual_choices(seen.groups, ruled, linked=linked))
    return Job(seen, deployment.own, memory, memory_update, fresh=True)


def everything(deployment: Deployment, *, fresh: bool = False) -> Job:
    """Link all that is selected, and unlink what no longer is."""
    now = deployment.deps.clock.now()
    memory = read_memory(deployment.deps)
    seen = take_inventory(deployment.deps.aws, now)
    return Job(seen, deployment.deps.settings, memory, MemoryUpdate(stopped=False), fresh)


def act(deployment: Deployment, job: Job, *, dry_run: bool, as_json: bool) -> RunReport | None:
    """Do a job, and print what was done; None where it is a dry run."""
    memory = merge_memory(job.memory, job.memory_update)
    ruled = current_selection(job.settings, memory)
    recheck = always if job.fresh else never
    if dry_run:
        actions = list(planned_actions(job.seen, ruled, memory, recheck, deployment.deps))
        show_actions(actions, ruled.by_hand, as_json=as_json)
        return None
    remember(job.memory_update, deployment.deps)
    with stoppable(GOES_ON), counting(len(job.seen.groups)) as count:
        told = deployment.deps_with(count)
        state = reconcile(job.seen, ruled, memory, recheck, told)
        if state.due:
            click.echo("shipping first lines, once their filters are effective: a minute", err=True)
        ship_first_lines(state, told)
    done = Finished(count.outcomes, state.report(), state.first_lines, ruled.by_hand)
    finish(done, as_json=as_json)
    return state.report()


def finish(done: Finished, *, as_json: bool) -> None:
    """Print what was done. Raises NotDeliveredError where something could not be."""
    show_outcomes(done, as_json=as_json)
    if trouble := "; ".join(_trouble(done.report)):
        raise NotDeliveredError(trouble)


def _trouble(report: RunReport) -> Iterator[str]:
    if report.failed:
        yield (
            f"{len(report.failed):,} log groups failed: put right what is said of them, and repeat "
            "the command"
        )
    if report.given_up:
        yield (
            f"the first lines of {len(report.given_up):,} log groups are given up: raise Loki's "
            "reject_old_samples_max_age, and ship them with `loki-shipper backfill`"
        )
