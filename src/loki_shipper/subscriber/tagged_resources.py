"""Sorts the resources of the tagging API by the names under which the tag index has them."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from loki_shipper.aws.arn import Arn, parse_arn
from loki_shipper.subscriber.settings import SubscriberSettings

LAMBDA_GROUP = "/aws/lambda/"
"""Folder of the log groups that Lambda creates for functions."""


class TagsByName(Struct, frozen=True):
    """Tags of log groups, and of what log files in S3 come from.

    The latter are buckets (`s3://NAME`), load balancers (`loadbalancer/app/NAME/ID`) and
    distributions (`distribution/ID`).
    """

    groups: dict[str, dict[str, str]]
    log_files: dict[str, dict[str, str]]


def resource_types(settings: SubscriberSettings) -> list[str]:
    """Name the types of resources whose tags become labels."""
    found = ["logs"]
    if settings.function_tags:
        found.append("lambda:function")
    if settings.log_buckets:
        found += ["s3", "elasticloadbalancing:loadbalancer", "cloudfront:distribution"]
    return found


def sorted_by_name(resources: Iterable[dict[str, Any]], settings: SubscriberSettings) -> TagsByName:
    """Give the tags of resources by name.

    The tags of a function replace those that its log group lacks. Of buckets, only those that
    LogBuckets names count.
    """
    buckets = {each.bucket for each in settings.log_buckets}
    groups: dict[str, dict[str, str]] = {}
    functions: dict[str, dict[str, str]] = {}
    log_files: dict[str, dict[str, str]] = {}
    for resource in resources:
        tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
        match parse_arn(resource["ResourceARN"]):
            case Arn(service="lambda", resource=("function", name)):
                functions[LAMBDA_GROUP + name] = tags
            case Arn(service="logs", resource=("log-group", name, *_)) if tags:
                groups[name] = tags
            case Arn(service="s3", resource=(name,)) if name in buckets:
                log_files[f"s3://{name}"] = tags
            case Arn(service="elasticloadbalancing" | "cloudfront", resource=(name,)):
                log_files[name] = tags
    return TagsByName(functions | groups, log_files)
