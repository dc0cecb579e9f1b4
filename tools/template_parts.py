"""Writes the parts of template.yaml that repeat the declarations of the settings.

A part stands between the comments `# BEGIN name (written by scripts/settings)` and `# END name`.
All other lines are written by hand.
"""

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from msgspec import NODEFAULT, Struct, structs

from loki_shipper.canary.settings import CanarySettings
from loki_shipper.environment import Setting, declared, parameter_names
from loki_shipper.formats import MOST_LOG_BUCKETS
from loki_shipper.settings import LOG_LEVEL, Settings
from loki_shipper.subscriber.self_audit import AuditSettings
from loki_shipper.subscriber.settings import SubscriberSettings
from tools.form import groups, setting_parameters

_PART: Final = re.compile(
    r"^(?P<indent> *)# BEGIN (?P<name>.+) \(written by scripts/settings\)\n"
    r"(?P<lines>.*?)"
    r"^ *# END (?P=name)\n",
    re.MULTILINE | re.DOTALL,
)
_WRAPPER: Final = textwrap.TextWrapper(94, break_long_words=False, break_on_hyphens=False)
_BOOLEANS: Final = {"on", "off", "yes", "no", "true", "false", "y", "n", "null"}
"""Words that YAML 1.1 does not read as text."""


_OF_AUDIT: Final = (
    "LOKI_URL",
    "LOKI_CA_CERT",
    "LOKI_CLIENT_CERT",
    "LOKI_CLIENT_KEY",
    "BUILTIN_LABELS",
)
"""Variables of the shipper that the audit reads too."""


class PartError(Exception):
    """Raised when the template lacks a part, or has one that nothing writes."""


def with_parts(template: str) -> str:
    """Return the text of a template with its parts written anew. Raises PartError."""
    found = {part["name"] for part in _PART.finditer(template)}
    if found != _PARTS.keys():
        raise PartError(f"template.yaml: check the parts {sorted(found ^ _PARTS.keys())}")
    return _PART.sub(_written, template)


def _written(part: re.Match[str]) -> str:
    begin, end = part[0].splitlines()[0], part[0].splitlines()[-1]
    lines = "\n".join(_PARTS[part["name"]]())
    return f"{begin}\n{textwrap.indent(lines, part['indent'])}\n{end}\n"


def _groups() -> Iterator[str]:
    for group in groups():
        yield f"- Label: {{ default: {_scalar(group.title)} }}"
        yield f"  Parameters: [{', '.join(group.parameters)}]"


def _labels() -> Iterator[str]:
    for name, setting in setting_parameters().items():
        if setting.parameter is not None:
            yield f"{name}: {{ default: {_scalar(setting.parameter.label)} }}"


def _parameters() -> Iterator[str]:
    defaults = _defaults(CanarySettings) | _defaults(SubscriberSettings) | _defaults(Settings)
    for name, setting in setting_parameters().items():
        constraints = {"Type": "String"} | dict(setting.format.constraints)
        yield f"{name}:"
        yield f"  Type: {constraints.pop('Type')}"
        if name in defaults:
            yield f"  Default: {_value(defaults[name])}"
        yield "  Description: >-"
        # The console shows plain text.
        text = setting.description.replace("`", "")
        yield from (f"    {line}" for line in _WRAPPER.wrap(text))
        yield from (f"  {key}: {_value(value)}" for key, value in constraints.items())


def _defaults(kind: type[Struct]) -> dict[str, Any]:
    """Return the default of each parameter, as the template declares it."""
    settings = declared(kind)
    names = parameter_names(kind)
    return {
        names[variable]: _default(settings[variable], field.default)
        for field in structs.fields(kind)
        if (variable := field.name.upper()) in names
        and (field.default is not NODEFAULT or settings[variable].default is not None)
    }


def _default(setting: Setting, value: Any) -> Any:
    match value:
        case _ if setting.default is not None:
            return setting.default
        case None:
            return ""
        case bool():
            return "on" if value else "off"
        case tuple():
            return ",".join(value)
        case _:
            return value


def _environment(*kinds: type[Struct]) -> Callable[[], Iterator[str]]:
    def lines() -> Iterator[str]:
        for kind in kinds:
            for variable, parameter in parameter_names(kind).items():
                yield f"{variable}: !Ref {parameter}"

    return lines


def _selection() -> Iterator[str]:
    """Yield the parameters that decide which log groups are linked: a change of one links anew."""
    for variable, parameter in parameter_names(SubscriberSettings).items():
        if declared(SubscriberSettings)[variable] != LOG_LEVEL:
            yield f"- !Ref {parameter}"


def _secrets(*, of_shipper: bool) -> list[str]:
    """Return the parameters that may name a secret: those that the shipper reads, or the others."""
    shippers = set(parameter_names(Settings).values())
    return [
        name
        for name, each in setting_parameters().items()
        if each.format.names_secret and (name in shippers) is of_shipper
    ]


def _secrets_of_audit() -> list[str]:
    """Return the parameters that may name a secret for queries: all but the one for pushes."""
    return [
        name
        for name in (*_secrets(of_shipper=True), *_secrets(of_shipper=False))
        if name != "LokiSecret"
    ]


def _environment_of_audit() -> Iterator[str]:
    """Yield what the audit needs to read Loki, empty if it does not read it: a PEM may be long."""
    names = parameter_names(Settings)
    for variable in _OF_AUDIT:
        yield f'{variable}: !If [AuditReadsLoki, !Ref {names[variable]}, ""]'
    for variable, parameter in parameter_names(AuditSettings).items():
        yield f"{variable}: !Ref {parameter}"


def _secret_conditions() -> Iterator[str]:
    for name in (*_secrets(of_shipper=True), *_secrets(of_shipper=False)):
        before_pem = f'!Select [0, !Split ["-----BEGIN ", !Ref {name}]]'
        yield f'{name}IsNamed: !Not [!Equals [{before_pem}, ""]]'
        yield f'{name}IsArn: !Equals [!Select [0, !Split [":", !Ref {name}]], arn]'
    yield "AnySecretIsNamed: !Or"
    yield from (f"  - !Condition {name}IsNamed" for name in _secrets(of_shipper=True))
    yield "AnySecretOfAuditIsNamed: !Or"
    yield from (f"  - !Condition {name}IsNamed" for name in _secrets_of_audit())
    yield "AnySecretOfCanaryIsNamed: !Or"
    yield "  - !Condition AnySecretIsNamed"
    yield from (f"  - !Condition {name}IsNamed" for name in _secrets(of_shipper=False))


def _secret_names(secrets: Callable[[], list[str]]) -> Iterator[str]:
    for name in secrets():
        yield f"- !If [{name}IsNamed, !Ref {name}, !Ref AWS::NoValue]"


def _secret_arns(secrets: Callable[[], list[str]]) -> Iterator[str]:
    here = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}"
    for name in secrets():
        arn = f'!Join ["/", !Split ["//", !Sub "{here}:parameter/${{{name}}}"]]'
        yield "- !If"
        yield f"  - {name}IsNamed"
        yield f"  - !If [{name}IsArn, !Ref {name}, {arn}]"
        yield "  - !Ref AWS::NoValue"


def _bucket_arns(after: str) -> Callable[[], Iterator[str]]:
    """Yield the ARN of each bucket in LogBuckets, or of its objects.

    An entry is `bucket/prefix=type`. CloudFormation cannot map a list, but the entries with some
    added ones are a list of a known length or more.
    """
    empty = ",".join(f"-{number}" for number in range(MOST_LOG_BUCKETS))

    def lines() -> Iterator[str]:
        for number in range(MOST_LOG_BUCKETS):
            entry = f'!Select [{number}, !Split [",", !Sub "${{LogBuckets}},{empty}"]]'
            path = f'!Select [0, !Split ["=", {entry}]]'
            name = f'!Select [0, !Split ["/", {path}]]'
            arn = f"arn:${{AWS::Partition}}:s3:::${{Name}}{after}"
            yield f'- !Sub ["{arn}", {{ Name: {name} }}]'

    return lines


_PARTS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "groups": _groups,
    "labels of settings": _labels,
    "parameters of settings": _parameters,
    "conditions on secrets": _secret_conditions,
    "settings of the shipper": _environment(Settings),
    "settings of the redriver": _environment(Settings),
    "settings of the Kinesis function": _environment(Settings),
    "settings of the log files function": _environment(Settings),
    "settings of the subscriber": _environment(SubscriberSettings),
    "settings of the canary": _environment(Settings, CanarySettings),
    "settings of the audit": _environment_of_audit,
    "names of secrets": partial(_secret_names, partial(_secrets, of_shipper=True)),
    "ARNs of secrets": partial(_secret_arns, partial(_secrets, of_shipper=True)),
    "names of secrets for reading": partial(_secret_names, partial(_secrets, of_shipper=False)),
    "ARNs of secrets for reading": partial(_secret_arns, partial(_secrets, of_shipper=False)),
    "names of secrets of the audit": partial(_secret_names, _secrets_of_audit),
    "ARNs of secrets of the audit": partial(_secret_arns, _secrets_of_audit),
    "ARNs of log files": _bucket_arns("/*"),
    "ARNs of buckets": _bucket_arns(""),
    "selection": _selection,
}


def _value(value: Any) -> str:
    match value:
        case tuple():
            return f"[{', '.join(map(_scalar, value))}]"
        case _:
            return _scalar(value)


def _scalar(value: Any) -> str:
    """Return a number or a text in YAML."""
    text = str(value)
    if isinstance(value, int) or (
        re.fullmatch(r"[A-Za-z](?:[\w' -]*\w)?", text) and text.lower() not in _BOOLEANS
    ):
        return text
    # Without escapes, a pattern reads as what it is.
    return "'{}'".format(text.replace("'", "''")) if "\\" in text else json.dumps(text)
