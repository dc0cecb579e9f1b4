"""The order of the stack's parameters in AWS's console and in docs/settings.md."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from loki_shipper.canary.settings import variables as canary_variables
from loki_shipper.environment import Setting
from loki_shipper.settings import variables
from loki_shipper.subscriber.settings import variables as subscriber_variables


class Group(Struct, frozen=True):
    """A heading of the console's form, and the names of the parameters below it."""

    title: str
    parameters: tuple[str, ...] = ()


_GROUPS: Final = (
    Group("Loki"),
    Group("Log groups to link"),
    Group("Log files in S3", ("LogFilesMemorySize", "LogFilesConcurrency")),
    Group("TLS"),
    Group("Labels"),
    Group("Lines and pushes"),
    Group(
        "The functions",
        ("Architecture", "MemorySize", "Timeout", "ReservedConcurrency", "LogRetentionDays"),
    ),
    Group("Kinesis", ("KinesisStreamArn", "KinesisMemorySize", "KinesisTimeout")),
    Group("Other accounts", ("OrganizationId",)),
    Group("Network, if Loki is in a VPC", ("SubnetIds", "SecurityGroupIds")),
    Group(
        "The bucket",
        (
            "BucketRetentionDays",
            "KmsKeyArn",
            "FormerKmsKeyArns",
            "RedriveSchedule",
            "RedriveWorkers",
        ),
    ),
    Group("Alarms and permissions", ("AlarmTopicArn", "Canary", "PermissionsBoundary")),
)
"""The groups with the parameters that are not settings. Each setting names its own group."""


def groups() -> tuple[Group, ...]:
    """Return the groups with all parameters: those that are not settings first."""
    settings = setting_parameters()
    return tuple(
        Group(title, (*others, *(name for name in settings if _group(settings[name]) == title)))
        for title, others in ((each.title, each.parameters) for each in _GROUPS)
    )


def setting_parameters() -> dict[str, Setting]:
    """Return the settings that are parameters of the stack, by parameter, in the order of the form.

    Raises KeyError for a setting of an unknown group.
    """
    place = {each.title: number for number, each in enumerate(_GROUPS)}
    # The shipper's declaration of a setting comes last, and so it wins: only it checks the tenant.
    declared = _by_parameter(variables()) | _by_parameter(canary_variables())
    declared |= _by_parameter(subscriber_variables())
    declared |= _by_parameter(variables())
    return dict(sorted(declared.items(), key=lambda item: place[_group(item[1])]))


def _by_parameter(declared: Mapping[str, Setting]) -> dict[str, Setting]:
    return {each.parameter.name: each for each in declared.values() if each.parameter}


def _group(setting: Setting) -> str:
    return setting.parameter.group if setting.parameter else ""
