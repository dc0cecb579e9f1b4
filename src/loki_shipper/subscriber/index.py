"""Writes the tags that a run has read into the index from which the shipper takes them."""

from loki_shipper.shipper.tag_index import (
    Tagged,
    TagIndex,
    decode_index,
    encode_index,
    index_key,
    merge,
)
from loki_shipper.subscriber.settings import Origin
from loki_shipper.subscriber.store import Objects, update
from loki_shipper.subscriber.survey import Survey


def index(found: Survey, origin: Origin, objects: Objects) -> None:
    """Join a survey's tags with those that others wrote. Raises AwsError, ConflictError."""
    groups = {group.name: Tagged(found.began, group.tags) for group in found.groups}
    ours = TagIndex(groups, found.began if found.whole else 0)

    def change(body: bytes | None) -> bytes:
        theirs = None if body is None else decode_index(body)
        return encode_index(ours if theirs is None else merge(theirs, ours))

    update(index_key(origin.account, origin.region), change, objects)
