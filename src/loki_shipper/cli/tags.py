"""`loki-shipper tags`: writes the tag index, from which the shipper reads tags."""

from typing import Any

import click

from loki_shipper.cli.deployment import deployment_options, open_deployment
from loki_shipper.cli.errors import InputError
from loki_shipper.subscriber.groups.index_tags import index_tags
from loki_shipper.subscriber.groups.inventory import take_inventory


@click.group()
def tags() -> None:
    """Write the tag index, from which the shipper reads tags without calling AWS."""


@tags.command()
@deployment_options
@click.option("--dry-run", is_flag=True, help="Only read the tags.")
def sync(*, dry_run: bool, **which: Any) -> None:
    """Read the tags of all log groups and write them to the index in the bucket.

    The subscriber does this with every sweep, and when a tag changes. Use the command for a
    deployment without a subscriber. It keeps what others write to the index at the same time.

    \b
    Write the index of a shipper that something else deployed:
      loki-shipper tags sync --function arn:aws:lambda:eu-central-1:123456789012:function:shipper
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    with open_deployment(**which) as deployment:
        deps = deployment.deps
        if deps.settings.bucket is None:
            raise InputError("the function has no BUCKET, which would hold the index: set it")
        inventory = take_inventory(deps.aws, deps.clock.now())
        if not dry_run:
            index_tags(inventory, {}, deps.settings, deps.aws)
    tagged = sum(1 for group in inventory.groups if group.tags)
    verb = "would be written" if dry_run else "written"
    click.echo(f"{len(inventory.groups):,} log groups, {tagged:,} with tags: {verb}")
