"""Reads the template, and points it to the code in a bucket."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from loki_shipper.bundle import bundled

LAYERS: Final = {"arm64": "DependenciesLayerArm64", "x86_64": "DependenciesLayerX8664"}
"""The layer of each architecture: CloudFormation makes that of the parameter Architecture."""

FUNCTION_TYPE: Final = "AWS::Serverless::Function"
LAYER_TYPE: Final = "AWS::Serverless::LayerVersion"

type Template = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as long forms: `!Ref X` becomes `{"Ref": "X"}`."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    match node:
        case yaml.ScalarNode():
            value: Any = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case yaml.MappingNode():
            value = loader.construct_mapping(node, deep=True)
        case _:
            raise yaml.constructor.ConstructorError(None, None, f"!{suffix} of nothing")
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


def read_template(path: Path | None = None) -> Template:
    """Read this version's template, or another file. Raises OSError."""
    text = (path or bundled("template.yaml")).read_text("utf-8")
    template: Template = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    return template


def with_code(template: Template, function: str, layers: Mapping[str, str]) -> Template:
    """Return the template with the code's `s3://…` URI or path: the functions' zip, and the layers.

    The result needs no `sam build`.
    """
    resources = dict(template["Resources"])
    for name in _of_type(template, FUNCTION_TYPE):
        resources[name] = _with_location(resources[name], CodeUri=function)
    for architecture, name in LAYERS.items():
        resources[name] = _with_location(resources[name], ContentUri=layers[architecture])
    return {**template, "Resources": resources}


def _with_location(resource: Mapping[str, Any], **location: str) -> dict[str, Any]:
    built = {name: value for name, value in resource.items() if name != "Metadata"}
    return {**built, "Properties": resource["Properties"] | location}


def _of_type(template: Template, kind: str) -> Iterator[str]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name
