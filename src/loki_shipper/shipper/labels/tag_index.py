"""The tags of all log groups of one account and Region, as one compressed object in the bucket.

The subscriber writes it and the shipper reads it. Otherwise a thousand new execution environments
would ask AWS for the same tags. 13,000 log groups with six tags each take less than 1 MB.
"""

import gzip
import zlib

import msgspec
from msgspec import Struct

INDEXES = "tags/"
"""Folder of the tag indexes in the bucket."""


class Tagged(Struct, frozen=True, array_like=True):
    """The tags of one log group; `seen` is when AWS gave them, in ms since 1970."""

    seen: int
    tags: dict[str, str]


class TagIndex(Struct, frozen=True):
    """Log groups by name; `swept` is when the last full sweep began, in ms since 1970."""

    groups: dict[str, Tagged] = {}
    swept: int = 0


def index_key(account: str, region: str) -> str:
    """Give the index's key in the bucket."""
    return f"{INDEXES}{account}/{region}.json.gz"


def encode_index(index: TagIndex) -> bytes:
    """Compress an index; the same index always gives the same bytes."""
    return gzip.compress(msgspec.json.encode(index, order="sorted"), compresslevel=6, mtime=0)


def decode_index(body: bytes) -> TagIndex | None:
    """Read an index; None if the object is not an index."""
    try:
        return msgspec.json.decode(gzip.decompress(body), type=TagIndex)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError, UnicodeError):
        return None


def merge(one: TagIndex, other: TagIndex) -> TagIndex:
    """Merge two indexes, in any order: each log group has the tags that were read last.

    A log group that the newest full sweep did not see has been deleted, and is left out.
    """
    swept = max(one.swept, other.swept)
    newest = dict(one.groups)
    for name, tagged in other.groups.items():
        before = newest.get(name)
        if before is None or before.seen <= tagged.seen:
            newest[name] = tagged
    groups = {name: tagged for name, tagged in newest.items() if tagged.seen >= swept}
    return TagIndex(groups, swept)
