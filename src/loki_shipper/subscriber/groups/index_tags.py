"""Writes the tags that a run has read into the tag index, from which the shipper reads them."""

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
"""Time by which the tags from GetResources, which a sweep reads, may be stale, in ms.

Tags that were read of one log group within that time are fresher, and win. A log group that is
deleted within that time stays in the index for one sweep more, which does no harm.
"""


def index_tags(
    inventory: Inventory,
    fresh: Mapping[str, Tagged],
    settings: SubscriberSettings,
    objects: Objects,
) -> None:
    """Merge the tags of an inventory, and tags that were read again, into the index.

    A complete inventory may lack tags of log groups that were created in the last ten minutes. If
    such a log group could belong to another tenant, it is left out, so that its lines wait. Raises
    AwsError, ConflictError.
    """
    origin = settings.origin
    read_at = inventory.began - _STALE_MS if inventory.complete else inventory.began
    groups = {
        group.name: Tagged(read_at, group.tags)
        for group in inventory.groups
        if group.created <= read_at or _has_its_tenant(group, settings)
    }
    log_files = {name: Tagged(read_at, tags) for name, tags in inventory.log_file_tags.items()}
    tagged = groups | log_files | dict(fresh)
    _merge(TagIndex(tagged, read_at if inventory.complete else 0), origin, objects)


def index_fresh_tags(fresh: Mapping[str, Tagged], origin: Origin, objects: Objects) -> None:
    """Merge tags that were read one log group at a time into the index.

    Raises AwsError, ConflictError.
    """
    _merge(TagIndex(dict(fresh)), origin, objects)


def _has_its_tenant(group: LogGroup, settings: SubscriberSettings) -> bool:
    """Tell whether the tenant is certain, although some tags may be missing."""
    return settings.tenant_tag is None or bool(group.tags.get(settings.tenant_tag))


def _merge(ours: TagIndex, origin: Origin, objects: Objects) -> None:
    def change(body: bytes | None) -> bytes:
        theirs = None if body is None else decode_index(body)
        return encode_index(ours if theirs is None else merge(theirs, ours))

    update(index_key(origin.account, origin.region), change, objects)
