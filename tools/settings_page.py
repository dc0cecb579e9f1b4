"""Writes docs/settings.md: a row for each parameter of the stack and each variable without one."""

from collections.abc import Iterator, Mapping
from typing import Any

from loki_shipper.settings import Variable, variables
from loki_shipper.subscriber.settings import variables as subscriber_variables
from tools.template import SourceTemplate

_HEAD = """\
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

_WITHOUT_PARAMETER = """
## Variables that are no parameters

The stack sets some of these itself. The others are for use on your machine: a deployed function
takes credentials only from `LOKI_SECRET`, because everybody who may look at a function sees its
environment.

| variable | read by | meaning |
|---|---|---|
"""


def settings_page(template: SourceTemplate) -> str:
    """Write the page: a table for each group of parameters, then the variables without one."""
    names = _variable_names()
    sections = (
        f"\n## {group.title}\n\n{''.join(_rows(group.parameters, template.parameters, names))}"
        for group in template.groups
    )
    return _HEAD + "".join(sections) + _WITHOUT_PARAMETER + "".join(_local_rows())


def _variable_names() -> Mapping[str, str]:
    """Give each parameter's environment variable."""
    declared = subscriber_variables() | variables()
    return {each.parameter: name for name, each in declared.items() if each.parameter}


def _rows(
    group: tuple[str, ...],
    parameters: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, str],
) -> Iterator[str]:
    yield "| parameter | variable | default | meaning |\n|---|---|---|---|\n"
    for name in group:
        parameter = parameters[name]
        variable = f"`{names[name]}`" if name in names else ""
        meaning = " ".join(parameter["Description"].split())
        yield _row(f"`{name}`", variable, _default(parameter), meaning + _allowed(parameter))


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


def _local_rows() -> Iterator[str]:
    readers: dict[str, tuple[Variable, list[str]]] = {}
    for reader, declared in (("shipper", variables()), ("subscriber", subscriber_variables())):
        for name, variable in declared.items():
            if variable.parameter is None:
                readers.setdefault(name, (variable, []))[1].append(reader)
    for name, (variable, by) in readers.items():
        yield _row(f"`{name}`", ", ".join(by), variable.help)


def _row(*cells: str) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in escaped)}|\n"
