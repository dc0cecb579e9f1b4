"""Evaluates the policies of template.yaml for a deployment.

Only the template lists the rights. Parameters and resources are resolved as CloudFormation does it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.aws.arn import Arn, Origin, function_arn, parse_arn

_NOTHING: Final = {"Ref": "AWS::NoValue"}
_NO_BUCKET: Final = ":s3:::-"
"""In the ARN of an empty place for a bucket of LogBuckets; no name begins with a hyphen."""


class UnknownNameError(Exception):
    """Raised when a policy names a resource or attribute with an unknown value."""


class TemplateValues(Struct, frozen=True):
    """The values of names in the template.

    `parameters` differ from the template's defaults. `resources` are physical ids by logical id.
    `pseudo` has values such as that of `AWS::Region`.
    """

    parameters: Mapping[str, str]
    resources: Mapping[str, str]
    pseudo: Mapping[str, str]


class Right(Struct, frozen=True):
    """An action that a function needs on a resource.

    `context` are condition keys of the policy, each with a value that meets the condition.
    """

    action: str
    resource: str
    context: tuple[tuple[str, str], ...] = ()


def granted(template: Mapping[str, Any], role: str, deployment: TemplateValues) -> Iterator[Right]:
    """Return the rights of a role, named by its logical id, in a deployment.

    A pattern of resources becomes one example. An unknown resource is left out, such as one of a
    stack that cannot be read.
    """
    values = _Values(template, deployment)
    for statement in _statements(template, role, values):
        chosen = values.value(statement)
        if chosen is not None and chosen["Effect"] == "Allow":
            yield from _rights(chosen, values)


def holding_conditions(template: Mapping[str, Any], parameters: Mapping[str, str]) -> set[str]:
    """Name the conditions of a template that hold with these parameters."""
    values = _Values(template, TemplateValues(parameters, {}, {"AWS::Partition": "aws"}))
    return {name for name in template["Conditions"] if values.holds({"Condition": name})}


def _statements(template: Mapping[str, Any], role: str, values: "_Values") -> Iterator[Any]:
    resources = template["Resources"]
    for policy in resources[role]["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]
    for resource in resources.values():
        if resource["Type"] == "AWS::IAM::Policy" and values.has(resource):
            policy = resource["Properties"]
            if any(_is_role(each, role) for each in policy["Roles"]):
                yield from policy["PolicyDocument"]["Statement"]


def _is_role(of: Mapping[str, Any], role: str) -> bool:
    """Tell whether a value is this role, or this role on a condition."""
    match of:
        case {"Ref": name} | {"Fn::If": [_, {"Ref": name}, _]}:
            return bool(name == role)
        case _:
            return False


def _rights(statement: Mapping[str, Any], values: "_Values") -> Iterator[Right]:
    account = values.pseudo("AWS::AccountId")
    context = tuple(
        (key, listed[0])
        for test in statement.get("Condition", {}).values()
        for key, value in test.items()
        if (listed := _listed(value))
    )
    for resource in _listed(statement["Resource"]):
        for action in _listed(statement["Action"]):
            if _applies(action, resource) and _NO_BUCKET not in resource:
                yield Right(action, _example(resource, account), context)


def _listed(value: Any) -> list[str]:
    """Flatten a text or nested lists to a list of texts; None is left out."""
    match value:
        case None:
            return []
        case list():
            return [text for each in value for text in _listed(each)]
        case _:
            return [str(value)]


def _applies(action: str, resource: str) -> bool:
    """Tell whether an action is for resources of this kind: one statement has two services."""
    return resource == "*" or resource.split(":")[2:3] == [action.partition(":")[0]]


def _example(resource: str, account: str) -> str:
    """Return one resource that matches a pattern of resources; `*` alone stays."""
    arn = parse_arn(resource)
    if arn is None:
        return resource
    origin = replace(arn.origin, account=account) if arn.origin.account == "*" else arn.origin
    named = tuple(part.replace("*", "doctor") for part in arn.resource)
    return str(Arn(origin, arn.service, named))


class _Values:
    """Evaluates a template's references, conditions and intrinsic functions."""

    def __init__(self, template: Mapping[str, Any], deployment: TemplateValues) -> None:
        self._conditions = template["Conditions"]
        self._parameters = template["Parameters"]
        self._types = {name: each["Type"] for name, each in template["Resources"].items()}
        self._deployment = deployment

    def pseudo(self, name: str) -> str:
        """Return a pseudo parameter, such as `AWS::Region`."""
        return self._deployment.pseudo[name]

    def value(self, of: Any) -> Any:
        """Evaluate a value; None for `AWS::NoValue` and for a name with an unknown value."""
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

    def has(self, resource: Mapping[str, Any]) -> bool:
        """Tell whether the deployment has a resource."""
        condition = resource.get("Condition")
        return condition is None or self.holds({"Condition": condition})

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
                raise ValueError(f"unknown kind of condition: {condition}")

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
        """Return a resource's ARN, the only attribute that the policies use."""
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
