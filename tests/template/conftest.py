"""The template as data, with its intrinsic functions in their long form."""

from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    decoded: tuple[dict[str, Any], list[object]] = decode(str(TEMPLATE))
    template, faults = decoded
    assert faults == []
    shared = template["Globals"]["Function"]
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # As SAM does it. No function has another value for one of them.
            assert not shared.keys() & resource["Properties"].keys()
            resource["Properties"] |= shared
    return template


def holds(template: dict[str, Any], condition: Any, parameters: dict[str, Any]) -> bool:
    """Work out a condition of the template, as CloudFormation does."""

    def value(of: Any) -> Any:
        match of:
            case {"Ref": str(name)}:
                return str(parameters.get(name, template["Parameters"][name].get("Default", "")))
            case {"Fn::Join": [str(between), parts]}:
                return between.join([value(parts)] if isinstance(parts, dict) else parts)
            case _:
                return str(of)

    match condition:
        case str(name) | {"Condition": str(name)}:
            return holds(template, template["Conditions"][name], parameters)
        case {"Fn::Equals": [one, other]}:
            return bool(value(one) == value(other))
        case {"Fn::Not": [other]}:
            return not holds(template, other, parameters)
        case {"Fn::Or": others}:
            return any(holds(template, other, parameters) for other in others)
        case {"Fn::And": others}:
            return all(holds(template, other, parameters) for other in others)
        case _:
            raise AssertionError(condition)
