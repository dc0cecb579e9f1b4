"""Finds the parts of a bucket's notification configuration that boto3 does not know.

boto3 leaves them out of its answer, and S3 replaces the whole configuration with each write. So a
write after such an answer would delete them.
"""

from typing import Any
from xml.etree.ElementTree import fromstring

AFTER_READ = "after-call.s3.GetBucketNotificationConfiguration"
"""Event of botocore after the call."""

UNKNOWN_ELEMENTS = "UnknownElements"
"""Key under which the answer names these elements."""

_KNOWN = {
    "TopicConfiguration",
    "QueueConfiguration",
    "CloudFunctionConfiguration",
    "EventBridgeConfiguration",
    "Id",
    "Topic",
    "Queue",
    "CloudFunction",
    "Event",
    "Filter",
    "S3Key",
    "FilterRule",
    "Name",
    "Value",
}


def note_unknown_elements(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Add the names of unknown elements to an answer that boto3 has parsed."""
    if http_response.status_code != 200 or not http_response.content:  # noqa: PLR2004 - HTTP's OK
        return
    root = fromstring(http_response.content)  # noqa: S314 - S3 wrote it
    found = {each.tag.rpartition("}")[2] for each in root.iterfind(".//")} - _KNOWN
    if found:
        parsed[UNKNOWN_ELEMENTS] = sorted(found)
