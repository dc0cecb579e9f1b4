"""Reads environment variables into a frozen Struct that declares a `Setting` for each of them."""

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from msgspec import NODEFAULT, Struct, structs

from loki_shipper.formats import Format


class SettingsError(Exception):
    """Raised when the environment cannot be used; `faults` lists every fault, a sentence each."""

    def __init__(self, *faults: str, about: str = "") -> None:
        super().__init__(about + "; ".join(faults))
        self.faults = faults


class Parameter(Struct, frozen=True):
    """The template's parameter for a setting, and its group and label in AWS's console."""

    name: str
    group: str
    label: str


class Setting(Struct, frozen=True):
    """One environment variable: how it is read, what it means, and the parameter that sets it.

    `description` is Markdown for people. `parameter` is None if the stack sets the variable itself,
    or if only people set it, on their own machine. `default` is the text of the default value, if
    it is not the value itself.
    """

    format: Format
    description: str
    parameter: Parameter | None = None
    default: str | None = None


def declared(kind: type[Struct]) -> dict[str, Setting]:
    """Return the settings that a Struct declares, by the names of their variables.

    A variable has the name of its field, in capitals.
    """
    hints = get_type_hints(kind, include_extras=True)
    return {name.upper(): hint.__metadata__[0] for name, hint in hints.items()}


def parameter_names(kind: type[Struct]) -> dict[str, str]:
    """Return the names of the parameters that set the variables of a Struct, by variable."""
    return {name: each.parameter.name for name, each in declared(kind).items() if each.parameter}


def read[T: Struct](
    kind: type[T],
    environ: Mapping[str, str],
    contradictions: Callable[[Mapping[str, Any]], list[str]] = lambda _: [],
) -> T:
    """Return the settings in an environment. An empty variable counts as absent.

    Raises SettingsError, which names every fault, and never a value that is secret.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, setting in declared(kind).items():
        text = environ.get(name, "").strip()
        if text:
            try:
                values[name.lower()] = setting.format.parse(text)
            except ValueError as fault:
                faults.append(f"{name} {fault}")
    required = [f.name.upper() for f in structs.fields(kind) if f.default is NODEFAULT]
    faults += [f"{name} is not set" for name in required if not environ.get(name, "").strip()]
    faults += contradictions(values)
    if faults:
        raise SettingsError(*faults)
    return kind(**values)
