"""`loki-shipper plan`: shows what `link --all` would do, and why."""

from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.text import Text

from loki_shipper.cli.aws import aws_errors, open_session
from loki_shipper.cli.console import line_console
from loki_shipper.cli.deployment import (
    Deployment,
    NoDeploymentError,
    current_clock,
    is_deployment_named,
    open_deployment,
    selection_of,
    selection_options,
)
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.link import job_for_all, print_plan
from loki_shipper.cli.link_output import print_actions
from loki_shipper.cli.plan_cost import (
    CostInputs,
    inputs_of_deployment,
    inputs_of_new_stack,
    read_costs,
)
from loki_shipper.cli.plan_cost_output import cost_objects, cost_text
from loki_shipper.cli.retention import Retention, saving_objects, savings_text
from loki_shipper.deployment.parameters import effective
from loki_shipper.deployment.preview import preview, stack_settings
from loki_shipper.deployment.retention import RetentionSaving, retention_savings
from loki_shipper.subscriber.groups.select import is_selected
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.template import read_template


@click.command()
@selection_options
@click.option("--cost", is_flag=True, help="Show what shipping each log group costs a month.")
@click.option(
    "--retention",
    type=Retention(),
    help="Show what is saved if CloudWatch Logs keeps shipped lines for so long, such as 7d.",
)
@click.option("--fresh", is_flag=True, help="Read the filters of every log group, four a second.")
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def plan(*, cost: bool, retention: int | None, fresh: bool, as_json: bool, **which: Any) -> None:
    """Show which log groups and buckets `link --all` would link or unlink, and why.

    The command changes nothing. It uses the stack's selection, unless options give another one. If
    nothing is deployed yet, it uses the selection of a stack with default settings. Only linking
    shows whether a log group has a place left for a filter.

    --cost shows instead what shipping costs: by what the log groups received in 14 days, with the
    ten dearest, and what a rule or a filter pattern would save there. It says first what reading
    the metrics costs.

    --retention shows instead what a shorter retention of the log groups saves. `link --retention`
    sets it on those that never expire.

    \b
    See what the stack's next sweep will do, or what a first stack would link:
      loki-shipper plan
    \b
    See what another selection would do:
      loki-shipper plan --include '/ecs/*' --tag team=payments --tag '!internal'
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if cost and retention is not None:
        raise click.UsageError("give --cost or --retention, not both")
    try:
        with open_deployment(**which) as deployment:
            if cost:
                groups = _selected(deployment)
                _print_cost(groups, inputs_of_deployment(deployment), as_json=as_json)
                return
            if retention is not None:
                now = deployment.deps.clock.now()
                found = retention_savings(_selected(deployment), retention, now)
                _print_savings(found, retention, as_json=as_json)
                return
            job = job_for_all(deployment, MemoryUpdate(), fresh=fresh)
            print_plan(deployment, job, as_json=as_json)
    except NoDeploymentError:
        if is_deployment_named():
            raise
        _plan_first_stack(cost=cost, retention=retention, as_json=as_json, **which)


def _selected(deployment: Deployment) -> list[LogGroup]:
    """Return the log groups that are linked, or that `link --all` would link."""
    job = job_for_all(deployment, MemoryUpdate(stopped=False), fresh=False)
    return [each for each in job.inventory.groups if is_selected(each, job.selection)]


def _print_cost(groups: Sequence[LogGroup], inputs: CostInputs, *, as_json: bool) -> None:
    report = read_costs(groups, inputs)
    if as_json:
        print_objects(cost_objects(report))
    else:
        _print_lines(cost_text(report))


def _print_savings(found: list[RetentionSaving], days: int, *, as_json: bool) -> None:
    if as_json:
        print_objects(saving_objects(found))
    else:
        _print_lines(savings_text(found, days))


def _print_lines(lines: Iterable[Text]) -> None:
    console = line_console()
    for line in lines:
        console.print(line)


def _plan_first_stack(  # noqa: PLR0913 - each is an option
    *,
    cost: bool,
    retention: int | None,
    as_json: bool,
    profile: str | None,
    region: str | None,
    stack: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    tags: tuple[str, ...],
    **_: object,
) -> None:
    """Show what a new stack with default settings would do. Raises InputError."""
    clock = current_clock()
    with aws_errors():
        session = open_session(profile, region)
        account = session.client("sts").get_caller_identity()["Account"]
        defaults = effective(read_template()["Parameters"], {}, {})
        settings = stack_settings(defaults, stack, str(session.region_name), account)
        selected = selection_of(include, exclude, tags).applied(settings)
        seen = preview(session, selected, clock)
        click.echo("Nothing is deployed yet: loki-shipper deploy --loki-url URL", err=True)
        if cost:
            inputs = inputs_of_new_stack(session, clock, selected)
            _print_cost(seen.groups, inputs, as_json=as_json)
            return
    if retention is not None:
        found = retention_savings(seen.groups, retention, clock.now())
        _print_savings(found, retention, as_json=as_json)
        return
    print_actions(seen.actions, [], {}, as_json=as_json)
