"""Reads the environment of the subscriber into frozen settings; one message has every fault."""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Struct, structs

from loki_shipper.aws.arn import Origin, function_name, function_origin
from loki_shipper.settings import Variable, declared, one_of, read, switch

FILTER_NAME = "loki-shipper"


class Condition(Struct, frozen=True):
    """What a tag must be: absent (`values` is None), present (no values), or one of `values`."""

    key: str
    values: tuple[str, ...] | None


def conditions(text: str) -> tuple[Condition, ...]:
    """Read tag conditions, all of which must hold: `team=payments,team=search,driver,!internal`.

    `key=value` asks for a value, one of them where a key stands twice; `key` for presence; `!key`
    for absence. Raises ValueError.
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


class SubscriberSettings(Struct, frozen=True, kw_only=True):
    """What the subscriber runs with; one field a variable, the variable's name in capitals."""

    shipper_arn: Annotated[str, Variable(_function_arn, "Function that the filters send to.", None)]
    link_mode: Annotated[
        Literal["groups", "account"],
        Variable(
            one_of("groups", "account"),
            "`groups` puts a filter on each chosen log group, `account` one policy for all log "
            "groups but the excluded.",
            "LinkMode",
        ),
    ] = "groups"
    include: Annotated[
        tuple[str, ...],
        Variable(
            _list,
            "Log groups to link, by name: `/aws/lambda/*,/ecs/*`. An account policy includes all.",
            "IncludeLogGroups",
        ),
    ] = ("/aws/lambda/*",)
    exclude: Annotated[
        tuple[str, ...],
        Variable(
            _list,
            "Log groups never to link, by name: `*-test,/aws/lambda/probe`.",
            "ExcludeLogGroups",
        ),
    ] = ()
    tag_conditions: Annotated[
        tuple[Condition, ...],
        Variable(
            conditions,
            "Tags that a log group must have to be linked: `key=value`, `key`, or `!key` for must "
            "not; a key twice takes either value.",
            "TagConditions",
        ),
    ] = ()
    filter_pattern: Annotated[
        str,
        Variable(
            str, "Filter pattern of CloudWatch Logs: only matching lines ship.", "FilterPattern"
        ),
    ] = ""
    filter_pattern_tag: Annotated[
        str | None,
        Variable(
            str,
            "Tag whose value is the log group's own filter pattern, such as `ERROR` or `-DEBUG`.",
            "FilterPatternTag",
        ),
    ] = None
    function_tags: Annotated[
        bool,
        Variable(
            switch,
            "`on`: a function's tags stand in for those of its log group, where that has none.",
            "FunctionTags",
        ),
    ] = True
    tenant_tag: Annotated[
        str | None,
        Variable(
            str,
            "Tag whose value is the tenant. Where `LOKI_TENANT` is empty, log groups without the "
            "tag are not linked.",
            "TenantTag",
        ),
    ] = None
    loki_tenant: Annotated[
        str | None,
        Variable(
            str, "Tenant of log groups without the tag in `TENANT_TAG`, or of all.", "LokiTenant"
        ),
    ] = None
    filter_name: Annotated[
        str, Variable(_filter_name, "Name of our subscription filters.", None)
    ] = FILTER_NAME
    own_log_groups: Annotated[
        tuple[str, ...], Variable(_list, "Log groups of our own functions, never linked.", None)
    ] = ()
    queue_url: Annotated[
        str | None,
        Variable(str, "Queue in which changes of log groups wait for the subscriber.", None),
    ] = None
    bucket: Annotated[
        str | None, Variable(str, "Bucket for the tag index and for what is linked.", None)
    ] = None
    stack: Annotated[
        str | None, Variable(str, "Stack that the metrics are of: their dimension `stack`.", None)
    ] = None
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        Variable(
            one_of("DEBUG", "INFO", "WARNING", "ERROR"),
            "Level of the subscriber's own log.",
            "LogLevel",
        ),
    ] = "INFO"

    @property
    def origin(self) -> Origin:
        """The place of the shipper and of the log groups: a filter sends within its Region."""
        origin = function_origin(self.shipper_arn)
        assert origin is not None
        return origin


def variables() -> dict[str, Variable]:
    """Give each setting's variable, keyed by its name in the environment."""
    return declared(SubscriberSettings)


def settings(environ: Mapping[str, str]) -> SubscriberSettings:
    """Read the settings from an environment. Raises SettingsError, which names every fault.

    `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets, names one more log group of our own: the one that
    Lambda makes where the function's own log group is not there.
    """
    found = read(SubscriberSettings, environ)
    function = environ.get("AWS_LAMBDA_FUNCTION_NAME")
    if function is None:
        return found
    own = (*found.own_log_groups, f"/aws/lambda/{function}")
    return structs.replace(found, own_log_groups=own)
