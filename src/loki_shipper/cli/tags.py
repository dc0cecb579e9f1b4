"""`loki-shipper tags`: the tag index in the bucket, from which the shipper takes its labels."""

from typing import Any

import click

from loki_shipper.cli.deployment import deployment_options, open_deployment
from loki_shipper.cli.errors import InputError
from loki_shipper.subscriber.groups.index_tags import index_tags
from loki_shipper.subscriber.groups.inventory import take_inventory


@click.group()
def tags() -> None:
    """Keep the tag index, from which the shipper takes its labels without asking AWS."""


@tags.command()
@deployment_options
@click.option("--dry-run", is_flag=True, help="Only read the tags.")
def sync(*, dry_run: bool, **which: Any) -> None:
    """Read the tags of all log groups and write them to the index in the bucket.

    The subscriber does so with every sweep, and when a tag changes. By hand it is for a deployment
    without a subscriber. What others write meanwhile is joined, not lost.

    \b
    Write the index of a shipper that is managed by something else:
      loki-shipper tags sync --function arn:aws:lambda:eu-central-1:123456789012:function:shipper
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    with open_deployment(**which) as deployment:
        deps = deployment.deps
        if deps.settings.bucket is None:
            raise InputError("the function has no BUCKET, in which the index would be: set one")
        seen = take_inventory(deps.aws, deps.clock.now())
        if not dry_run:
            index_tags(seen, {}, deps.settings, deps.aws)
    tagged = sum(1 for group in seen.groups if group.tags)
    verb = "would be written" if dry_run else "written"
    click.echo(f"{len(seen.groups):,} log groups, {tagged:,} with tags: {verb}")
