"""Declares every setting of the subscriber."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Struct, structs

from loki_shipper.aws.arn import Arn, Origin, function_name, parse_arn
from loki_shipper.environment import Parameter, Setting, declared, read
from loki_shipper.formats import SWITCH, TEXT, Format, LogBucket, one_of
from loki_shipper.settings import BUCKET, LOG_BUCKETS, LOG_LEVEL, LOKI_TENANT, STACK, TENANT_TAG

FILTER_NAME = "loki-shipper"
_SELECTION = "Log groups to link"


class Condition(Struct, frozen=True):
    """A condition on a tag: absent (`values` is None), present (no values), or one of `values`."""

    key: str
    values: tuple[str, ...] | None


def conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions in a text such as `team=payments,team=search,driver,!internal`.

    A log group must meet all of them. `key=value` asks for a value, or for one of several if the
    key stands there several times; `key` for any value; `!key` for no such tag. Raises ValueError.
    """
    found: dict[str, tuple[str, ...] | None] = {}
    for item in _list(text):
        key, equals, value = item.removeprefix("!").partition("=")
        absent = item.startswith("!")
        if not key or (absent and equals):
            raise ValueError(f"has no tag condition in {item!r}: write key=value, key or !key")
        if key in found and absent != (found[key] is None):
            raise ValueError(f"asks for {key!r} to be there and not to be there")
        known = found.get(key) or ()
        found[key] = None if absent else (*known, value) if equals else known
    return tuple(Condition(key, values) for key, values in found.items())


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _function_arn(text: str) -> str:
    if function_name(text) is None:
        raise ValueError("is not the ARN of a function")
    return text


def _filter_name(text: str) -> str:
    if len(text) > 512 or set(text) & set(":*"):  # noqa: PLR2004 - AWS's limit
        raise ValueError("must be at most 512 characters, without : and *")
    return text


def _destination_arn(text: str) -> str:
    match parse_arn(text):
        case Arn(service="logs", resource=("destination", name)) if name:
            return text
        case _:
            raise ValueError("is not the ARN of a destination of CloudWatch Logs")


LIST = Format(_list)
_HUB = "Other accounts"
_DESTINATION_PATTERN = {
    "AllowedPattern": r"^$|^arn:[^:\s]+:logs:[^:\s]+:\d{12}:destination:[^:*\s]+$",
    "ConstraintDescription": "must be the ARN of a destination of CloudWatch Logs.",
}


class SubscriberSettings(Struct, frozen=True, kw_only=True):
    """The settings of the subscriber."""

    shipper_arn: Annotated[
        str | None, Setting(Format(_function_arn), "ARN of the function that the filters send to.")
    ] = None
    destination_arn: Annotated[
        str | None,
        Setting(
            Format(_destination_arn, _DESTINATION_PATTERN),
            "ARN of the destination of CloudWatch Logs in a hub's account (`DestinationArn` of its "
            "outputs). Then this stack has no shipper: its filters send to the hub. "
            "`docs/many-accounts.md` has the recipe.",
            Parameter("DestinationArn", _HUB, "Destination of the hub"),
        ),
    ] = None
    hub_bucket: Annotated[
        str | None,
        Setting(
            TEXT,
            "Bucket of the hub's stack (`BucketName` of its outputs). The subscriber writes the "
            "tags of log groups there, and the first lines of new log groups.",
            Parameter("HubBucket", _HUB, "Bucket of the hub"),
        ),
    ] = None
    account: Annotated[
        str | None, Setting(TEXT, "Account of the log groups, if the filters send to a hub.")
    ] = None
    link_mode: Annotated[
        Literal["groups", "account"],
        Setting(
            one_of("groups", "account"),
            "`groups` puts a subscription filter on each selected log group. `account` puts one "
            "policy on all log groups of the account and Region, except those in "
            "`ExcludeLogGroups`. AWS allows one such policy in a Region. Filters stay in place "
            "until the policy is.",
            Parameter("LinkMode", _SELECTION, "How to link log groups"),
        ),
    ] = "groups"
    include: Annotated[
        tuple[str, ...],
        Setting(
            LIST,
            "Names of log groups to link, such as `/aws/lambda/*,/ecs/*`. Loki-Shipper never links "
            "its own log groups. With `LinkMode=account`, all other log groups are linked.",
            Parameter("IncludeLogGroups", _SELECTION, "Log groups to link"),
        ),
    ] = ("/aws/lambda/*",)
    exclude: Annotated[
        tuple[str, ...],
        Setting(
            LIST,
            "Names of log groups never to link, such as `*-test,/aws/lambda/probe`.",
            Parameter("ExcludeLogGroups", _SELECTION, "Log groups never to link"),
        ),
    ] = ()
    tag_conditions: Annotated[
        tuple[Condition, ...],
        Setting(
            Format(conditions),
            "Conditions on tags. A log group is linked only if it meets all of them: `key=value`, "
            "`key` for any value, or `!key` for no such tag. Give a key twice to allow two values, "
            "such as `team=payments,team=search,!internal`.",
            Parameter("TagConditions", _SELECTION, "Tags that a log group must have"),
        ),
    ] = ()
    filter_pattern: Annotated[
        str,
        Setting(
            Format(str, {"MaxLength": 1024}),
            "Filter pattern of CloudWatch Logs, such as `?ERROR ?WARN`. Only matching lines are "
            "shipped. Leave it empty to ship all lines.",
            Parameter("FilterPattern", _SELECTION, "Filter pattern"),
        ),
    ] = ""
    filter_pattern_tag: Annotated[
        str | None,
        Setting(
            TEXT,
            "Tag that holds a log group's own filter pattern, such as `ERROR` or `-DEBUG`. It has "
            "no effect with `LinkMode=account`.",
            Parameter("FilterPatternTag", _SELECTION, "Tag with a filter pattern"),
        ),
    ] = None
    centralized: Annotated[
        tuple[str, ...],
        Setting(
            LIST,
            "Names of log groups that CloudWatch Logs centralization copies other accounts' lines "
            "into, such as `/central/*`. Their filters get `emitSystemFields`, so that each line "
            "has the account, the Region, the log group and the tags of its source. It has no "
            "effect with `LinkMode=account`, as an account policy has no such option.",
            Parameter("CentralizedLogGroups", _SELECTION, "Log groups with other accounts' lines"),
        ),
    ] = ()
    function_tags: Annotated[
        bool,
        Setting(
            SWITCH,
            "`on`: if the log group of a Lambda function lacks a tag that the function has, the "
            "function's tag counts.",
            Parameter("FunctionTags", _SELECTION, "Tags of functions"),
        ),
    ] = True
    tenant_tag: Annotated[str | None, TENANT_TAG] = None
    # Only the shipper checks the tenant: the subscriber must be able to unlink with any.
    loki_tenant: Annotated[str | None, structs.replace(LOKI_TENANT, format=TEXT)] = None
    filter_name: Annotated[
        str, Setting(Format(_filter_name), "Name of our subscription filters.")
    ] = FILTER_NAME
    own_log_groups: Annotated[
        tuple[str, ...], Setting(LIST, "Log groups of our own functions, which are never linked.")
    ] = ()
    queue_url: Annotated[
        str | None, Setting(TEXT, "URL of the queue with changes of log groups.")
    ] = None
    log_buckets: Annotated[tuple[LogBucket, ...], LOG_BUCKETS] = ()
    log_files_queue: Annotated[
        str | None, Setting(TEXT, "ARN of the queue with notifications of log files.")
    ] = None
    log_files_rule: Annotated[
        str | None,
        Setting(TEXT, "Rule of EventBridge that sends events of buckets to this queue."),
    ] = None
    bucket: Annotated[str | None, BUCKET] = None
    stack: Annotated[str | None, STACK] = None
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], LOG_LEVEL] = "INFO"

    @property
    def filter_destination(self) -> str:
        """The ARN that the filters send to: that of the shipper, or of a hub's destination."""
        arn = self.shipper_arn or self.destination_arn
        assert arn is not None
        return arn

    @property
    def origin(self) -> Origin:
        """The place of the log groups: a filter sends within its Region."""
        arn = parse_arn(self.filter_destination)
        assert arn is not None
        return structs.replace(arn.origin, account=self.account or arn.origin.account)


def variables() -> dict[str, Setting]:
    """Return the settings of the subscriber, by the names of their variables."""
    return declared(SubscriberSettings)


def settings(environ: Mapping[str, str]) -> SubscriberSettings:
    """Return the settings in an environment. Raises SettingsError, which names every fault.

    Lambda sets `AWS_LAMBDA_FUNCTION_NAME`. It names one more log group of our own: Lambda creates
    that log group if the function's own one is missing.
    """
    found = read(SubscriberSettings, environ, lambda _: _contradictions(environ))
    function = environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if function is None:
        return found
    own = (*found.own_log_groups, f"/aws/lambda/{function}")
    return structs.replace(found, own_log_groups=own)


def _contradictions(environ: Mapping[str, str]) -> list[str]:
    def is_set(name: str) -> bool:
        return bool(environ.get(name, "").strip())

    if not is_set("DESTINATION_ARN"):
        return [] if is_set("SHIPPER_ARN") else ["SHIPPER_ARN is not set"]
    faults = [
        f"{name} is not set, which goes with DESTINATION_ARN"
        for name in ("HUB_BUCKET", "ACCOUNT")
        if not is_set(name)
    ]
    if is_set("SHIPPER_ARN"):
        faults.append("only one of SHIPPER_ARN and DESTINATION_ARN may be set")
    return faults
