"""Writes terraform/parameters.tf: a variable of the module for each parameter of the template."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = "# Written by scripts/settings from template.yaml.\n"
_TYPES = {"String": "string", "Number": "number", "CommaDelimitedList": "list(string)"}


def terraform(parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a variable for each parameter, and the map that passes all of them to the stack."""
    rows = "".join(_aligned(parameters))
    variables = "".join(f"\n{_variable(name, each)}" for name, each in parameters.items())
    return f"{_HEAD}\nlocals {{\n  parameters = {{\n{rows}  }}\n}}\n{variables}"


def variable_name(parameter: str) -> str:
    """Return the Terraform variable of a parameter: `loki_url` for `LokiUrl`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", parameter).lower()


def _aligned(parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    width = max(map(len, parameters))
    for name, parameter in parameters.items():
        value = f"var.{variable_name(name)}"
        if parameter["Type"] == "CommaDelimitedList":
            value = f'join(",", {value})'
        yield f"    {name:{width}} = {value}\n"


def _variable(name: str, parameter: Mapping[str, Any]) -> str:
    arguments = {
        "description": _quoted(parameter["Description"]),
        "type": _TYPES[parameter["Type"]],
    }
    if "Default" in parameter:
        arguments["default"] = _default(parameter)
    width = max(map(len, arguments))
    lines = "".join(f"  {key:{width}} = {value}\n" for key, value in arguments.items())
    return f'variable "{variable_name(name)}" {{\n{lines}}}\n'


def _default(parameter: Mapping[str, Any]) -> str:
    match parameter["Type"], parameter["Default"]:
        case "CommaDelimitedList", text:
            return f"[{', '.join(_quoted(item) for item in text.split(',') if item)}]"
        case "Number", number:
            return f"{number}"
        case _, text:
            return _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
