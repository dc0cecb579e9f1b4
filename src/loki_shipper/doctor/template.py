"""What the template grants each function, worked out for a deployment.

The policies are read from template.yaml itself, so that no right is forgotten here. Parameters and
resources are filled in as CloudFormation does it.
"""

from collections.abc import Iterator, Mapping
from itertools import filterfalse
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.aws.arn import Arn, Origin, function_arn, parse_arn

_NOTHING: Final = {"Ref": "AWS::NoValue"}


class UnknownNameError(Exception):
    """Raised when a policy names something of which this deployment is not known."""


class TemplateValues(Struct, frozen=True):
    """What stands for the names in the template.

    `parameters` are values that differ from the template's defaults, `resources` names (physical
    ids) by logical id, `pseudo` values such as that of `AWS::Region`.
    """

    parameters: Mapping[str, str]
    resources: Mapping[str, str]
    pseudo: Mapping[str, str]


class Right(Struct, frozen=True):
    """Something that a function has to be allowed.

    `context` has the condition keys under which it is allowed, with a value that holds.
    """

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def granted(template: Mapping[str, Any], role: str, deployment: TemplateValues) -> Iterator[Right]:
    """Give what a role of the template, named by its logical id, may do in a deployment.

    A pattern for resources stands for one example. A resource of which nothing is known, such as
    one of a stack that may not be looked at, is left out.
    """
    values = _Values(template, deployment)
    for statement in _statements(template, role):
        chosen = values.value(statement)
        if chosen is not None and chosen["Effect"] == "Allow":
            yield from _rights(chosen, values)


def _statements(template: Mapping[str, Any], role: str) -> Iterator[Any]:
    resources = template["Resources"]
    for policy in resources[role]["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Policy":
            policy = resource["Properties"]
            if {"Ref": role} in policy["Roles"]:
                yield from policy["PolicyDocument"]["Statement"]


def _rights(statement: Mapping[str, Any], values: "_Values") -> Iterator[Right]:
    account = values.pseudo("AWS::AccountId")
    context = tuple(
        (key, listed[0])
        for test in statement.get("Condition", {}).values()
        for key, value in test.items()
        if (listed := _listed(value))
    )
    for resource in filterfalse(_is_nobodys, _listed(statement["Resource"])):
        for action in _listed(statement["Action"]):
            yield Right(action, _example(resource, account), context)


def _listed(value: Any) -> list[str]:
    """Give the texts of a text or a list; lists in it are opened, and what is unknown left out."""
    match value:
        case None:
            return []
        case list():
            return [text for each in value for text in _listed(each)]
        case _:
            return [str(value)]


def _is_nobodys(resource: str) -> bool:
    """Tell whether no parameter can have this ARN: the template grants two forms of a name."""
    return ":ssm:" in resource and (":parameter/" not in resource or "//" in resource)


def _example(resource: str, account: str) -> str:
    """Give one resource that a pattern of resources matches; `*` alone stays."""
    arn = parse_arn(resource)
    if arn is None:
        return resource
    origin = replace(arn.origin, account=account) if arn.origin.account == "*" else arn.origin
    named = tuple(part.replace("*", "doctor") for part in arn.resource)
    return str(Arn(origin, arn.service, named))


class _Values:
    """Works out the values of a template: references, conditions and intrinsic functions."""

    def __init__(self, template: Mapping[str, Any], deployment: TemplateValues) -> None:
        self._conditions = template["Conditions"]
        self._parameters = template["Parameters"]
        self._types = {name: each["Type"] for name, each in template["Resources"].items()}
        self._deployment = deployment

    def pseudo(self, name: str) -> str:
        """Give a pseudo parameter, such as `AWS::Region`."""
        return self._deployment.pseudo[name]

    def value(self, of: Any) -> Any:
        """Work out a value; None: it is `AWS::NoValue`, or about something unknown."""
        match of:
            case dict() if of == _NOTHING:
                return None
            case {"Fn::If": [str(name), then, otherwise]}:
                return self.value(then if self.holds({"Condition": name}) else otherwise)
            case {"Ref": _} | {"Fn::GetAtt": _} | {"Fn::Sub": _}:
                try:
                    return self._text(of)
                except UnknownNameError:
                    return None
            case {"Fn::Join": _} | {"Fn::Select": _} | {"Fn::Split": _}:
                return self._text(of)
            case dict():
                return {key: self.value(value) for key, value in of.items()}
            case list():
                return [found for each in of if (found := self.value(each)) is not None]
            case _:
                return of

    def holds(self, condition: Any) -> bool:
        """Tell whether a condition holds."""
        match condition:
            case {"Condition": str(name)}:
                return self.holds(self._conditions[name])
            case {"Fn::Equals": [one, other]}:
                return bool(str(self._text(one)) == str(self._text(other)))
            case {"Fn::Not": [other]}:
                return not self.holds(other)
            case {"Fn::And": list(others)}:
                return all(map(self.holds, others))
            case {"Fn::Or": list(others)}:
                return any(map(self.holds, others))
            case _:
                raise ValueError(f"no condition of a template: {condition}")

    def _text(self, of: Any) -> Any:
        match of:
            case {"Ref": str(name)}:
                return self._named(name)
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                return self._attribute(name, attribute)
            case {"Fn::Sub": [str(text), dict(given)]}:
                return self._substituted(text, {k: self._text(v) for k, v in given.items()})
            case {"Fn::Sub": str(text)}:
                return self._substituted(text, {})
            case {"Fn::Join": [str(between), parts]}:
                return between.join(map(str, self._several(parts)))
            case {"Fn::Select": [number, parts]}:
                return self._several(parts)[int(number)]
            case {"Fn::Split": [str(between), text]}:
                return str(self._text(text)).split(between)
            case _:
                return of

    def _several(self, parts: Any) -> list[Any]:
        found = [*map(self._text, parts)] if isinstance(parts, list) else self._text(parts)
        return found if isinstance(found, list) else [found]

    def _substituted(self, text: str, given: Mapping[str, Any]) -> str:
        before, *rest = text.split("${")
        for part in rest:
            name, _, after = part.partition("}")
            logical, _, attribute = name.partition(".")
            if name in given:
                found = given[name]
            elif attribute:
                found = self._attribute(logical, attribute)
            else:
                found = self._named(name)
            before += f"{found}{after}"
        return before

    def _named(self, name: str) -> Any:
        if name in self._deployment.pseudo:
            return self._deployment.pseudo[name]
        if name in self._parameters:
            declared = self._parameters[name]
            value = self._deployment.parameters.get(name, str(declared.get("Default", "")))
            return value.split(",") if declared["Type"] == "CommaDelimitedList" else value
        if name in self._deployment.resources:
            return self._deployment.resources[name]
        raise UnknownNameError(name)

    def _attribute(self, name: str, attribute: str) -> str:
        """Give a resource's ARN, the only attribute that policies ask for."""
        physical = self._named(name)
        origin = Origin(
            *(self.pseudo(f"AWS::{each}") for each in ("Partition", "Region", "AccountId"))
        )
        match self._types[name], attribute:
            case "AWS::S3::Bucket", "Arn":
                return str(Arn(Origin(origin.partition, "", ""), "s3", (physical,)))
            case "AWS::SQS::Queue", "Arn":
                return str(Arn(origin, "sqs", (physical.rpartition("/")[2],)))
            case "AWS::Serverless::Function", "Arn":
                return function_arn(origin, physical)
            case _:
                raise UnknownNameError(f"{name}.{attribute}")
