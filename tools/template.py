"""Reads what the stack asks for out of template.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from loki_shipper.template import read_template as template_of

CLONE: Final = Path(__file__).parents[1]


class Group(Struct, frozen=True):
    """A heading of the console's form, and the names of the parameters under it."""

    title: str
    parameters: tuple[str, ...]


class SourceTemplate(Struct, frozen=True):
    """The parameters by name, as CloudFormation declares them, and how the console groups them."""

    parameters: Mapping[str, Mapping[str, Any]]
    groups: tuple[Group, ...]


def read_template() -> SourceTemplate:
    """Read the clone's template."""
    template = template_of(CLONE / "template.yaml")
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    return SourceTemplate(
        template["Parameters"],
        tuple(Group(each["Label"]["default"], tuple(each["Parameters"])) for each in groups),
    )
