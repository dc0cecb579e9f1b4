"""`loki-shipper unlink`: deletes our subscription filters, and no others."""

from collections.abc import Callable
from typing import Any

import click
from msgspec.structs import replace

from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.confirm import confirm, yes_option
from loki_shipper.cli.deployment import Deployment, open_deployment, selection_options
from loki_shipper.cli.errors import stoppable
from loki_shipper.cli.link import (
    STOPPED,
    check_groups,
    finish,
    job_by_hand,
    job_for_all,
    job_for_names,
    print_plan,
    run_job,
)
from loki_shipper.cli.link_output import LinkResult
from loki_shipper.cli.progress import outcome_bar
from loki_shipper.cli.retention import change_retention
from loki_shipper.subscriber.groups.inventory import Inventory, take_inventory
from loki_shipper.subscriber.groups.select import Selected, Selection, select
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.run.unlink import unlink as unlink_all
from loki_shipper.subscriber.run.unlink import unlink_before_deletion


@click.command()
@click.argument("groups", nargs=-1, metavar="[GROUP]...", shell_complete=complete_log_groups)
@click.option("--all", "all_groups", is_flag=True, help="Every log group that is linked.")
@selection_options
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def unlink(  # noqa: PLR0913 - each is an option
    *,
    groups: tuple[str, ...],
    all_groups: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    deletion: bool = False,
    **which: Any,
) -> None:
    """Unlink log groups from Loki: each GROUP, or all.

    GROUP is a name, an ARN, or a pattern in quotes for log groups that exist now. It stays unlinked
    until `link` names it, even if the stack's selection chooses it. s3://BUCKET stops the log files
    of a bucket in the same way. --all with a selection does the
    same for all log groups that it chooses. --all alone unlinks everything, until `link --all` or
    the next deployment. The command never deletes other tools' filters. Log groups that got their
    retention from `link --retention` never expire again.

    --all asks first on a terminal. You can stop the command at any time. What it has done stays
    done, and the same command goes on with the rest.

    \b
    Stop shipping one log group:
      loki-shipper unlink /aws/lambda/chatty
    \b
    Stop shipping everything:
      loki-shipper unlink --all
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    check_groups(groups, all_groups=all_groups)
    with open_deployment(**which) as deployment:
        if groups:
            job = job_for_names(deployment, groups, linked=False)
            run_job(deployment, job, dry_run=dry_run, as_json=as_json)
        elif deployment.has_overrides:
            inventory = _selected(deployment)
            question = f"Unlink these {len(inventory.groups):,} log groups of {deployment.name}?"
            confirm(question, yes=yes or dry_run)
            job = job_by_hand(deployment, inventory, linked=False)
            run_job(deployment, job, dry_run=dry_run, as_json=as_json)
        elif dry_run:
            job = job_for_all(deployment, MemoryUpdate(stopped=True), fresh=True)
            print_plan(deployment, job, as_json=as_json)
        else:
            question = (
                f"Unlink every log group of {deployment.name} ({deployment.session.region_name})? "
                "No new line is shipped until `loki-shipper link --all`."
            )
            confirm(question, yes=yes)
            # `deploy --delete` also works without the bucket, because it needs no memory after it.
            run = unlink_before_deletion if deletion else unlink_all
            _unlink_all(deployment, run, as_json=as_json)


def _selected(deployment: Deployment) -> Inventory:
    inventory = take_inventory(deployment.deps.aws, deployment.deps.clock.now())
    # With the account policy, no log group needs a filter, so select by the options alone.
    rules = Selection(settings=replace(deployment.deps.settings, link_mode="groups"))
    selected = [each for each in inventory.groups if isinstance(select(each, rules), Selected)]
    return replace(inventory, groups=selected, complete=False, buckets=False)


def _unlink_all(
    deployment: Deployment, run: Callable[[SubscriberDependencies], RunReport], *, as_json: bool
) -> None:
    with stoppable(STOPPED), outcome_bar(total=None) as bar:
        report = run(deployment.deps_with(bar, bar.add_bucket))
        changes = change_retention(deployment, (), bar.outcomes, None)
    finish(LinkResult(bar.outcomes, report, {}, {}, bar.buckets, changes), as_json=as_json)
