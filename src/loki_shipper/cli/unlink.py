"""`loki-shipper unlink`: our filters are deleted, nobody else's."""

from collections.abc import Callable
from typing import Any

import click
from msgspec.structs import replace

from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.confirm import confirm, yes_option
from loki_shipper.cli.deployment import Deployment, open_deployment, selection_options
from loki_shipper.cli.errors import stoppable
from loki_shipper.cli.link import GOES_ON, act, by_name, check_names, finish, ordered
from loki_shipper.cli.link_output import Finished, show_actions
from loki_shipper.cli.progress import counting
from loki_shipper.subscriber.filters.observe import always
from loki_shipper.subscriber.groups.inventory import Inventory, take_inventory
from loki_shipper.subscriber.groups.select import Selected, Selection, select
from loki_shipper.subscriber.memory import MemoryUpdate, merge_memory
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, read_memory
from loki_shipper.subscriber.run.reconcile import current_selection, planned_actions
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.run.unlink import unlink as unlink_all
from loki_shipper.subscriber.run.unlink import unlink_before_deletion


@click.command()
@click.argument("groups", nargs=-1, metavar="[GROUP]...", shell_complete=complete_log_groups)
@click.option("--all", "everything", is_flag=True, help="Every log group that is linked.")
@selection_options
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def unlink(  # noqa: PLR0913 - each is an option
    *,
    groups: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    deletion: bool = False,
    **which: Any,
) -> None:
    """Unlink log groups from Loki: each GROUP, or all.

    GROUP is a name, an ARN, or a pattern in quotes for the log groups that are there now. It stays
    unlinked whatever the stack's selection says, until `link` names it. --all with
    a selection is as if those that it chooses were named. --all alone unlinks everything, until
    `link --all` or the next deployment. Filters of others are not touched.

    --all asks first on a terminal. Stop it at any time: what is done is done, and the same command
    goes on with the rest.

    \b
    Stop shipping one log group:
      loki-shipper unlink /aws/lambda/chatty
    \b
    Stop shipping everything:
      loki-shipper unlink --all
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    check_names(groups, everything=everything)
    with open_deployment(**which) as deployment:
        if groups:
            job = by_name(deployment, groups, linked=False)
            act(deployment, job, dry_run=dry_run, as_json=as_json)
        elif deployment.has_overrides:
            chosen = _chosen(deployment)
            question = f"Unlink these {len(chosen.groups):,} log groups of {deployment.name}?"
            confirm(question, yes=yes or dry_run)
            job = ordered(deployment, chosen, linked=False)
            act(deployment, job, dry_run=dry_run, as_json=as_json)
        else:
            question = (
                f"Unlink every log group of {deployment.name} ({deployment.session.region_name})? "
                "No new line is shipped until `loki-shipper link --all`."
            )
            confirm(question, yes=yes or dry_run)
            # `deploy --delete` goes on also where the bucket is gone; nobody will need the memory.
            do = unlink_before_deletion if deletion else unlink_all
            _all(deployment, do, dry_run=dry_run, as_json=as_json)


def _chosen(deployment: Deployment) -> Inventory:
    seen = take_inventory(deployment.deps.aws, deployment.deps.clock.now())
    # What is named by includes is meant, also where an account policy knows none.
    ruled = Selection(settings=replace(deployment.deps.settings, link_mode="groups"))
    chosen = [each for each in seen.groups if isinstance(select(each, ruled), Selected)]
    return replace(seen, groups=chosen, complete=False)


def _all(
    deployment: Deployment,
    do: Callable[[SubscriberDependencies], RunReport],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    deps = deployment.deps
    if dry_run:
        memory = merge_memory(read_memory(deps), MemoryUpdate(stopped=True))
        seen = take_inventory(deps.aws, deps.clock.now())
        actions = planned_actions(
            seen, current_selection(deps.settings, memory), memory, always, deps
        )
        show_actions(list(actions), {}, as_json=as_json)
        return
    with stoppable(GOES_ON), counting(total=None) as count:
        report = do(deployment.deps_with(count))
    finish(Finished(count.outcomes, report, {}, {}), as_json=as_json)
