"""Checks the parameters of a stack, and merges chosen values with previous ones."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

_ONE_OF = ("LokiUrl", "DestinationArn")
"""A stack sends to Loki or to a hub: the template has a rule for that."""

type Declared = Mapping[str, Mapping[str, Any]]
"""The template's `Parameters`."""


def faults(declared: Declared, chosen: Mapping[str, str]) -> list[str]:
    """List the faults for which CloudFormation would reject chosen values."""
    return [fault for name, value in chosen.items() for fault in _faults(declared, name, value)]


def _faults(declared: Declared, name: str, value: str) -> Iterator[str]:
    if name not in declared:
        near = get_close_matches(name, declared, n=1, cutoff=0.5)
        hint = f": did you mean {near[0]}?" if near else ""
        yield f"there is no parameter {name}{hint}"
        return
    parameter = declared[name]
    allowed = [str(each) for each in parameter.get("AllowedValues", ())]
    if allowed and value not in allowed:
        yield f"{name} must be one of {', '.join(allowed)}"
    elif parameter["Type"] == "Number" and not _in_range(parameter, value):
        least, most = parameter.get("MinValue"), parameter.get("MaxValue")
        yield f"{name} must be a number from {least} to {most}"
    elif "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], value):
        yield f"{name} {parameter['ConstraintDescription'].rstrip('.')}"
    elif len(value) > parameter.get("MaxLength", len(value)):
        yield f"{name} may have {parameter['MaxLength']} characters at most"


def _in_range(parameter: Mapping[str, Any], value: str) -> bool:
    if not re.fullmatch(r"\d{1,12}", value):
        return False
    least, most = parameter.get("MinValue", 0), parameter.get("MaxValue", float("inf"))
    return bool(least <= int(value) <= most)


def missing(
    declared: Declared, previous: Mapping[str, str], chosen: Mapping[str, str]
) -> list[str]:
    """List the parameters that need a value: LokiUrl, but not in a member of a hub."""
    values = effective(declared, previous, chosen)
    return [
        name
        for name in declared
        if name not in values or (name == "LokiUrl" and not any(map(values.get, _ONE_OF)))
    ]


def effective(
    declared: Declared, previous: Mapping[str, str], chosen: Mapping[str, str]
) -> dict[str, str]:
    """Return each parameter's value: the chosen one, else the previous one, else its default."""
    defaults = {name: str(each["Default"]) for name, each in declared.items() if "Default" in each}
    kept = {name: value for name, value in previous.items() if name in declared}
    return defaults | kept | dict(chosen)


def for_cloudformation(
    declared: Declared, previous: Mapping[str, str], chosen: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the parameters for CloudFormation: those that were not chosen keep their values.

    A new parameter of the template gets its default.
    """
    kept: list[dict[str, Any]] = [
        {"ParameterKey": name, "UsePreviousValue": True}
        for name in previous
        if name in declared and name not in chosen
    ]
    return kept + [
        {"ParameterKey": name, "ParameterValue": value} for name, value in chosen.items()
    ]
