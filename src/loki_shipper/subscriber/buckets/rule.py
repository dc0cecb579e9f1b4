"""The pattern of the EventBridge rule that sends events of buckets to the queue.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

import json
from collections.abc import Iterable

from loki_shipper.subscriber.buckets.plan import WantedBucket


def event_pattern(buckets: Iterable[WantedBucket]) -> str:
    """Write the pattern for new objects below the prefixes of these buckets, at least one."""
    objects = [
        {"bucket": {"name": [bucket.name]}, **_key_below(prefix)}
        for bucket in sorted(buckets, key=lambda each: each.name)
        for prefix in bucket.prefixes
    ]
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": objects[0] if len(objects) == 1 else {"$or": objects},
    }
    return json.dumps(pattern)


def _key_below(prefix: str) -> dict[str, object]:
    return {"object": {"key": [{"prefix": prefix}]}} if prefix else {}
