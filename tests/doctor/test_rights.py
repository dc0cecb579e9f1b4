"""The doctor asks for rights that the stack's roles really have."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

from loki_shipper.doctor.stack import Function, Kind, Right, rights
from loki_shipper.settings import settings

TEMPLATE, _ = decode(str(Path(__file__).resolve().parents[2] / "template.yaml"))
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
SETTINGS = settings({"LOKI_URL": "http://loki", "LOKI_SECRET": "team/loki", "BUCKET": "b"})
NAMES = {
    "AWS::Partition": "aws",
    "AWS::Region": "r",
    "AWS::AccountId": "1",
    "Bucket.Arn": "arn:aws:s3:::b",
    "LokiSecret": "team/loki",
    "ShipperLogGroup": "/g",
    "RedriverLogGroup": "/g",
    "SubscriberLogGroup": "/g",
}


def granted(role: str) -> list[tuple[str, str]]:
    """Give each allowed action and resource of a role, whatever the parameters are."""
    own = [policy["PolicyDocument"] for policy in RESOURCES[role]["Properties"]["Policies"]]
    shared = [
        resource["Properties"]["PolicyDocument"]
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::IAM::Policy"
        and {"Ref": role} in resource["Properties"]["Roles"]
    ]
    return [
        (action, _resource(resource))
        for document in own + shared
        for statement in map(_chosen, document["Statement"])
        if statement["Effect"] == "Allow"
        for action in _flat(statement["Action"])
        for resource in _flat(statement["Resource"])
    ]


def _chosen(value: Any) -> Any:
    """Take the first branch of a condition."""
    return value["Fn::If"][1] if isinstance(value, dict) and "Fn::If" in value else value


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [each for item in value for each in _flat(item)]
    if isinstance(value, dict) and "Fn::If" in value:
        return _flat(value["Fn::If"][1:])
    return [value]


def _resource(value: Any) -> str:
    match value:
        case {"Fn::Sub": str(text)}:
            for name, stands_for in NAMES.items():
                text = text.replace(f"${{{name}}}", stands_for)
            return text
        case {"Fn::GetAtt": parts}:
            return NAMES.get(".".join(parts), json.dumps(value))
        case str():
            return value
        case _:
            return json.dumps(value)


@pytest.mark.parametrize("kind", ["shipper", "redriver", "subscriber"])
def test_each_right_is_granted_by_the_template(kind: Kind) -> None:
    arn = f"arn:aws:lambda:r:1:function:{kind}"
    function = Function(kind, arn, "role", "/g", {}, in_vpc=False, trouble="")
    allowed = granted(f"{kind.capitalize()}Role")
    missing = [right for right in rights(function, SETTINGS) if not _is_granted(right, allowed)]
    assert missing == []


def _is_granted(right: Right, allowed: list[tuple[str, str]]) -> bool:
    return any(
        action == right.action and fnmatchcase(right.resource, resource)
        for action, resource in allowed
    )
