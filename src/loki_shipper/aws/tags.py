"""Reads the tags of one log group with one call of CloudWatch Logs."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from loki_shipper.aws.arn import Origin, log_group_arn

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
