"""Writes docs/settings.md: a row for each parameter of the stack and each variable without one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from loki_shipper.canary.settings import CanarySettings
from loki_shipper.canary.settings import variables as canary_variables
from loki_shipper.environment import Setting, parameter_names
from loki_shipper.settings import Settings, variables
from loki_shipper.subscriber.self_audit import audit_variables
from loki_shipper.subscriber.settings import SubscriberSettings
from loki_shipper.subscriber.settings import variables as subscriber_variables
from tools.form import Group, groups, setting_parameters

_HEAD: Final = """\
<!-- Written by scripts/settings from template.yaml and the declarations of the settings. -->

# Settings

Every setting is a parameter of the stack. Set one with `loki-shipper deploy --set Name=value`,
with `sam deploy --parameter-overrides Name=value`, or as a variable of the
[Terraform module](../terraform/README.md). The functions read them from the environment variables
in the second column. `loki-shipper invoke` and `check` on your machine read the same variables.
An empty value and a missing one are the same.

A wrong value loses nothing: the function fails with one message that names every fault, and the
lines wait in the bucket until you correct it. `loki-shipper check` finds such faults before you
deploy.
"""

_WITHOUT_PARAMETER: Final = """
## Variables without a parameter

The stack sets some of these itself. The others are for use on your machine: a deployed function
takes credentials only from `LOKI_SECRET`, because everyone who can view a function sees its
environment.

| variable | read by | meaning |
|---|---|---|
"""


def settings_page(parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page: a table for each group of parameters, then the variables without one."""
    sections = (f"\n## {group.title}\n\n{''.join(_rows(group, parameters))}" for group in groups())
    return _HEAD + "".join(sections) + _WITHOUT_PARAMETER + "".join(_rows_without_parameter())


def _rows(group: Group, parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "| parameter | variable | default | meaning |\n|---|---|---|---|\n"
    settings = setting_parameters()
    variable_of = {
        parameter: f"`{variable}`"
        for kind in (Settings, SubscriberSettings, CanarySettings)
        for variable, parameter in parameter_names(kind).items()
    }
    for name in group.parameters:
        description = settings[name].description if name in settings else None
        yield row(name, variable_of.get(name, ""), parameters[name], description)


def row(
    name: str, variable: str, parameter: Mapping[str, Any], description: str | None = None
) -> str:
    """Return the row of a parameter. Its own description stands in for one in Markdown."""
    meaning = description or " ".join(parameter["Description"].split())
    return _row(f"`{name}`", variable, _default(parameter), meaning + _allowed(parameter))


def _default(parameter: Mapping[str, Any]) -> str:
    match parameter.get("Default"):
        case None:
            return "required"
        case "":
            return ""
        case value:
            return f"`{value}`"


def _allowed(parameter: Mapping[str, Any]) -> str:
    match parameter:
        case {"AllowedValues": values}:
            return f" One of {', '.join(f'`{value}`' for value in values)}."
        case {"MinValue": least, "MaxValue": most}:
            return f" From {least:,} to {most:,}."
        case _:
            return ""


def _rows_without_parameter() -> Iterator[str]:
    readers: dict[str, tuple[Setting, list[str]]] = {}
    for reader, declared in (
        ("shipper", variables()),
        ("subscriber", subscriber_variables()),
        ("subscriber", audit_variables()),
        ("canary", canary_variables()),
    ):
        for name, setting in declared.items():
            if setting.parameter is None:
                readers.setdefault(name, (setting, []))[1].append(reader)
    for name, (setting, by) in readers.items():
        yield _row(f"`{name}`", ", ".join(by), setting.description)


def _row(*cells: str) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in escaped)}|\n"
