"""Reads the tags of one log group or bucket with one call of CloudWatch Logs or S3."""

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

from loki_shipper.aws.arn import Origin, log_group_arn

_TAG = re.compile(
    r"<Tag>\s*<Key>(?P<key>[^<]*)</Key>\s*(?:<Value>(?P<value>[^<]*)</Value>|<Value\s*/>)?\s*</Tag>"
)
_ENTITY = re.compile(r"&(?:#x(?P<hex>[\da-fA-F]{1,6})|#(?P<number>\d{1,7})|(?P<name>\w+));")
_ENTITIES = {"amp": "&", "apos": "'", "gt": ">", "lt": "<", "quot": '"'}

type TagOperation = Literal["ListTagsForResource", "ListTagsLogGroup"]


def log_group_tags(
    name: str, origin: Origin, call: Callable[[TagOperation, Mapping[str, str]], Any]
) -> dict[str, str]:
    """Give the tags of a log group, empty if it has none.

    `call` calls one operation of CloudWatch Logs and gives its answer; its errors pass through.
    """
    # ListTagsForResource rejects an ARN with `#`. The deprecated ListTagsLogGroup takes the name.
    if "#" in name:
        answer = call("ListTagsLogGroup", {"logGroupName": name})
    else:
        answer = call("ListTagsForResource", {"resourceArn": log_group_arn(origin, name)})
    match answer:
        case {"tags": dict(tags)}:
            return tags
        case _:
            return {}


def tags_of_xml(text: str) -> dict[str, str]:
    """Give the tags in an answer of GetBucketTagging.

    An XML parser would be one more import, for one element of two texts.
    """
    return {
        _ENTITY.sub(_character, found["key"]): _ENTITY.sub(_character, found["value"] or "")
        for found in _TAG.finditer(text)
    }


def _character(entity: re.Match[str]) -> str:
    if entity["name"] is not None:
        return _ENTITIES.get(entity["name"], entity[0])
    code = int(entity["hex"], 16) if entity["hex"] else int(entity["number"])
    return chr(code) if code <= sys.maxunicode else entity[0]
