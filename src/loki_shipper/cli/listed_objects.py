"""Lists the objects of a bucket that a stack reads as log files.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from loki_shipper.formats import LogBucket
from loki_shipper.model import S3Object
from loki_shipper.subscriber.first_lines.backfill import Span

_ARCHIVED = {"GLACIER", "DEEP_ARCHIVE"}
"""Storage classes whose objects S3 gives nobody before they are restored."""


class ObjectsPage(Struct, frozen=True):
    """A page of a listing: the number of its objects, and those that are wanted, by their keys.

    `archived` is the number of objects that would be wanted, but cannot be read.
    """

    seen: int
    found: list[S3Object]
    archived: int


def listed_prefixes(bucket: str, prefix: str, log_buckets: Iterable[LogBucket]) -> list[str]:
    """Give the prefixes below `prefix` that `LogBuckets` names, by name; none holds another."""
    named = [each.prefix for each in log_buckets if each.bucket == bucket]
    both = {
        max(prefix, each, key=len)
        for each in named
        if each.startswith(prefix) or prefix.startswith(each)
    }
    return sorted(each for each in both if not any(_holds(other, each) for other in both))


def _holds(one: str, other: str) -> bool:
    return one != other and other.startswith(one)


def listed_objects(
    list_objects_v2: Callable[..., Any],
    bucket: str,
    prefixes: Iterable[str],
    span: Span,
    after: str,
) -> Iterator[ObjectsPage]:
    """List the objects below prefixes that were written within a span of time, page by page.

    `after` is a key: objects up to it are left out. The prefixes are in the order of
    `listed_prefixes`, so keys grow from the first page to the last. Raises what boto3 raises.
    """
    for prefix in prefixes:
        next_page: dict[str, str] = {"StartAfter": after} if after else {}
        while next_page is not None:
            page = list_objects_v2(
                Bucket=bucket, Prefix=prefix, RequestPayer="requester", **next_page
            )
            yield _page(bucket, page.get("Contents", ()), span)
            if not page.get("IsTruncated"):
                break
            next_page = {"ContinuationToken": page["NextContinuationToken"]}


def _page(bucket: str, contents: Any, span: Span) -> ObjectsPage:
    found: list[S3Object] = []
    archived = 0
    for each in contents:
        written = int(each["LastModified"].timestamp() * 1000)
        if not each["Size"] or not span.start <= written < span.end:
            continue
        if each.get("StorageClass") in _ARCHIVED:
            archived += 1
            continue
        etag = each["ETag"].strip('"')
        found.append(S3Object(bucket, each["Key"], etag=etag, size=each["Size"], written=written))
    return ObjectsPage(len(contents), found, archived)
