"""`loki-shipper plan`: shows what `link --all` would do, and why."""

from typing import Any

import click

from loki_shipper.cli.aws import aws_errors, open_session
from loki_shipper.cli.deployment import (
    NoDeploymentError,
    current_clock,
    is_deployment_named,
    open_deployment,
    selection_of,
    selection_options,
)
from loki_shipper.cli.link import job_for_all, print_plan
from loki_shipper.cli.link_output import print_actions
from loki_shipper.deployment.parameters import effective
from loki_shipper.deployment.preview import preview, stack_settings
from loki_shipper.subscriber.filters.plan import FilterAction
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.template import read_template


@click.command()
@selection_options
@click.option("--fresh", is_flag=True, help="Read the filters of every log group, four a second.")
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def plan(*, fresh: bool, as_json: bool, **which: Any) -> None:
    """Show which log groups and buckets `link --all` would link or unlink, and why.

    The command changes nothing. It uses the stack's selection, unless options give another one. If
    nothing is deployed yet, it uses the selection of a stack with default settings. Only linking
    shows whether a log group has a place left for a filter.

    \b
    See what the stack's next sweep will do, or what a first stack would link:
      loki-shipper plan
    \b
    See what another selection would do:
      loki-shipper plan --include '/ecs/*' --tag team=payments --tag '!internal'
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    try:
        with open_deployment(**which) as deployment:
            job = job_for_all(deployment, MemoryUpdate(), fresh=fresh)
            print_plan(deployment, job, as_json=as_json)
    except NoDeploymentError:
        if is_deployment_named():
            raise
        actions = _first_actions(**which)
        click.echo("Nothing is deployed yet: loki-shipper deploy --loki-url URL", err=True)
        print_actions(actions, [], {}, as_json=as_json)


def _first_actions(  # noqa: PLR0913 - each is an option
    *,
    profile: str | None,
    region: str | None,
    stack: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    tags: tuple[str, ...],
    **_: object,
) -> list[FilterAction]:
    """Return what a new stack with default settings would do. Raises InputError."""
    with aws_errors():
        session = open_session(profile, region)
        account = session.client("sts").get_caller_identity()["Account"]
        defaults = effective(read_template()["Parameters"], {}, {})
        settings = stack_settings(defaults, stack, str(session.region_name), account)
        selected = selection_of(include, exclude, tags).applied(settings)
        return preview(session, selected, current_clock()).actions
