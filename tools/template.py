"""Reads what the stack asks for out of template.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct

CLONE: Final = Path(__file__).parents[1]


class Group(Struct, frozen=True):
    """A heading of the console's form, and the names of the parameters under it."""

    title: str
    parameters: tuple[str, ...]


class Template(Struct, frozen=True):
    """The parameters by name, as CloudFormation declares them, and how the console groups them."""

    parameters: Mapping[str, Mapping[str, Any]]
    groups: tuple[Group, ...]


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms (`!Ref`) as nothing: parameters have none."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, _node: None)


def read_template() -> Template:
    """Read the clone's template."""
    text = (CLONE / "template.yaml").read_text("utf-8")
    template = yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    return Template(
        template["Parameters"],
        tuple(Group(each["Label"]["default"], tuple(each["Parameters"])) for each in groups),
    )
