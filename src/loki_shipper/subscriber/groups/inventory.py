"""Lists log groups with their tags."""

from collections.abc import Iterable

from msgspec import Struct, structs

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.model import LogGroup


class Inventory(Struct, frozen=True):
    """Log groups with their tags, as of `began`, in ms since 1970.

    `complete`: these are all log groups of the account and Region. Otherwise only some were asked
    for, and the `missing` ones do not exist. `buckets`: the run is about buckets with log files
    too; `log_file_tags` has the tags of what log files come from.
    """

    groups: list[LogGroup]
    began: int
    missing: tuple[str, ...] = ()
    complete: bool = True
    buckets: bool = True
    log_file_tags: dict[str, dict[str, str]] = {}


def take_inventory(aws: SubscriberAws, now: int, names: Iterable[str] | None = None) -> Inventory:
    """List all log groups, or those of these names; `now` is in ms since 1970. Raises AwsError."""
    if names is None:
        tags = aws.all_tags()
        listed = [structs.replace(g, tags=tags.groups.get(g.name, {})) for g in aws.log_groups()]
        return Inventory(listed, now, log_file_tags=tags.log_files)
    found = {name: _find(name, aws) for name in names}
    missing = tuple(name for name, group in found.items() if group is None)
    groups = [group for group in found.values() if group is not None]
    return Inventory(groups, now, missing, complete=False, buckets=False)


def _find(name: str, aws: SubscriberAws) -> LogGroup | None:
    group = aws.log_group(name)
    try:
        return None if group is None else structs.replace(group, tags=aws.tags(name))
    except AwsError as error:
        if error.kind == "gone":
            return None
        raise
