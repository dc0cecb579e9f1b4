"""Writes the tags that a run has read into the index from which the shipper takes them."""

from collections.abc import Mapping

from loki_shipper.aws.arn import Origin
from loki_shipper.shipper.labels.tag_index import (
    Tagged,
    TagIndex,
    decode_index,
    encode_index,
    index_key,
    merge,
)
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.settings import SubscriberSettings
from loki_shipper.subscriber.store import Objects, update

_STALE_MS = 600_000
"""How far GetResources, from which a sweep has its tags, may be behind, in ms.

What was read of one log group just before is fresher, and wins. A log group that is deleted in that
time stays in the index until the next sweep but one, which does no harm.
"""


def index(
    found: Inventory, fresh: Mapping[str, Tagged], settings: SubscriberSettings, objects: Objects
) -> None:
    """Join tags with those that others wrote: a survey's, and those that were read again.

    A survey of all log groups may not have all tags of those made in the last ten minutes. One that
    may be of another tenant is left out, so that its lines wait. Raises AwsError, ConflictError.
    """
    origin = settings.origin
    seen = found.began - _STALE_MS if found.whole else found.began
    groups = {
        group.name: Tagged(seen, group.tags)
        for group in found.groups
        if group.created <= seen or _has_its_tenant(group, settings)
    }
    _join(TagIndex(groups | dict(fresh), seen if found.whole else 0), origin, objects)


def index_fresh(fresh: Mapping[str, Tagged], origin: Origin, objects: Objects) -> None:
    """Join tags that were read one by one with those that are there.

    Raises AwsError, ConflictError.
    """
    _join(TagIndex(dict(fresh)), origin, objects)


def _has_its_tenant(group: LogGroup, settings: SubscriberSettings) -> bool:
    """Tell whether tags that may not be all give the lines of a log group to nobody else."""
    return settings.tenant_tag is None or bool(group.tags.get(settings.tenant_tag))


def _join(ours: TagIndex, origin: Origin, objects: Objects) -> None:
    def change(body: bytes | None) -> bytes:
        theirs = None if body is None else decode_index(body)
        return encode_index(ours if theirs is None else merge(theirs, ours))

    update(index_key(origin.account, origin.region), change, objects)
