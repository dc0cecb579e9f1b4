"""`loki-shipper plan`: what linking would do, and why."""

from collections.abc import Mapping
from typing import Any

import click

from loki_shipper.cli.aws import aws_errors, open_session
from loki_shipper.cli.deployment import (
    NoDeploymentError,
    current_clock,
    is_given,
    open_deployment,
    selection_of,
    selection_options,
)
from loki_shipper.cli.link_output import show_actions
from loki_shipper.deployment.parameters import effective
from loki_shipper.deployment.preview import preview, stack_settings
from loki_shipper.subscriber.filters.observe import always, never
from loki_shipper.subscriber.filters.plan import FilterAction
from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.run.dependencies import read_memory
from loki_shipper.subscriber.run.reconcile import current_selection, planned_actions
from loki_shipper.template import read_template


@click.command()
@selection_options
@click.option("--fresh", is_flag=True, help="Look at every log group again, four a second.")
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def plan(*, fresh: bool, as_json: bool, **which: Any) -> None:
    """Show which log groups `link --all` would link or unlink, and why.

    Nothing is changed. The selection is the stack's, unless options say otherwise. Before anything
    is deployed, it is that of a stack with default settings. Whether a log group has a place left
    for a filter shows only when it is linked.

    \b
    See what the stack's next sweep will do, or what a first stack would link:
      loki-shipper plan
    \b
    See what another selection would do:
      loki-shipper plan --include '/ecs/*' --tag team=payments --tag '!internal'
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    try:
        actions, by_hand = _by_deployment(which, fresh=fresh)
    except NoDeploymentError:
        if is_given("stack") or is_given("function"):
            raise
        actions, by_hand = _before_deploying(**which), {}
        click.echo("Nothing is deployed yet: loki-shipper deploy --loki-url URL", err=True)
    show_actions(actions, by_hand, as_json=as_json)


def _by_deployment(
    which: dict[str, Any], *, fresh: bool
) -> tuple[list[FilterAction], Mapping[str, bool]]:
    """Say what `link --all` would do, and what a person ordered, by log group."""
    with open_deployment(**which) as deployment:
        deps = deployment.deps
        memory = read_memory(deps)
        seen = take_inventory(deps.aws, deps.clock.now())
        ruled = current_selection(deps.settings, memory)
        actions = planned_actions(seen, ruled, memory, always if fresh else never, deps)
        return list(actions), ruled.by_hand


def _before_deploying(  # noqa: PLR0913 - each is an option
    *,
    profile: str | None,
    region: str | None,
    stack: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    tags: tuple[str, ...],
    **_: object,
) -> list[FilterAction]:
    """Say what a stack with default settings would do here."""
    with aws_errors():
        session = open_session(profile, region)
        account = session.client("sts").get_caller_identity()["Account"]
        defaults = effective(read_template()["Parameters"], {}, {})
        settings = stack_settings(defaults, stack, str(session.region_name), account)
        chosen = selection_of(include, exclude, tags).applied(settings)
        return preview(session, chosen, current_clock()).actions
