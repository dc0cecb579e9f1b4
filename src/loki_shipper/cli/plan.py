"""`loki-shipper plan`: what linking would do, and why."""

from typing import Any

import click

from loki_shipper.cli.deployment import open_deployment, selection_options
from loki_shipper.cli.outcomes import show_actions
from loki_shipper.subscriber.observe import always, never
from loki_shipper.subscriber.reconcile import planned, rules
from loki_shipper.subscriber.surroundings import read_memory
from loki_shipper.subscriber.survey import survey


@click.command()
@selection_options
@click.option("--fresh", is_flag=True, help="Look at every log group again, four a second.")
@click.option("--json", "as_json", is_flag=True, help="Print every log group as JSON.")
def plan(*, fresh: bool, as_json: bool, **which: Any) -> None:
    """Show which log groups `link --all` would link or unlink, and why.

    Nothing is changed. The selection is the stack's, unless options say otherwise. Whether a log
    group has a place left for a filter shows only when it is linked.

    \b
    See what the stack's next sweep will do:
      loki-shipper plan
    \b
    See what another selection would do:
      loki-shipper plan --include '/ecs/*' --tag team=payments --tag '!internal'
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    with open_deployment(**which) as deployment:
        around = deployment.around
        memory = read_memory(around)
        seen = survey(around.aws, around.clock.now())
        ruled = rules(around.settings, memory)
        actions = list(planned(seen, ruled, memory, always if fresh else never, around))
    show_actions(actions, as_json=as_json)
