"""Reads the functions of a deployment from Lambda."""

from collections.abc import Mapping
from typing import Any, Literal, override

from botocore.exceptions import ClientError
from msgspec import Struct

from loki_shipper.aws.arn import Origin, function_name, function_origin

type FunctionKind = Literal["shipper", "redriver", "subscriber", "kinesis", "log_files", "canary"]

_HANDLERS: dict[str, FunctionKind] = {
    "loki_shipper.shipper.handler.handle": "shipper",
    "loki_shipper.redriver.handler.handle": "redriver",
    "loki_shipper.subscriber.handler.handle": "subscriber",
    "loki_shipper.canary.handler.handle": "canary",
}
_OF_SHIPPERS_HANDLER: dict[str, FunctionKind] = {
    "KINESIS_STREAM_ARN": "kinesis",
    "LOG_FILES_DEAD_LETTERS": "log_files",
}
"""Variables of the functions that have the shipper's handler too."""

_VARIABLES: dict[str, FunctionKind] = {
    "SHIPPER_ARN": "subscriber",
    "DESTINATION_ARN": "subscriber",
    "CANARY_LOG_GROUP": "canary",
    "LOKI_URL": "shipper",
}
"""Variables that show the kind of a function with a wrapped handler."""


class NotDeployedError(Exception):
    """Raised when a stack or function does not exist."""


class DeployedFunction(Struct, frozen=True):
    """A deployed function of Loki-Shipper.

    `arn` has an alias if the caller named the function with one. `environ` may have secrets.
    `trouble` is the reason why Lambda does not run the function, else empty.
    """

    kind: FunctionKind
    arn: str
    role: str
    log_group: str
    environ: dict[str, str]
    in_vpc: bool
    trouble: str

    @property
    def name(self) -> str:
        """Its name, without the alias."""
        name = function_name(self.arn)
        assert name is not None
        return name

    @property
    def origin(self) -> Origin:
        """Its partition, Region and account."""
        origin = function_origin(self.arn)
        assert origin is not None
        return origin

    @override
    def __repr__(self) -> str:
        return f"DeployedFunction({self.kind!r}, {self.arn!r})"


def functions_of_stack(stack: str, cloudformation: Any, functions: Any) -> list[DeployedFunction]:
    """List Loki-Shipper's functions of a stack; the clients are boto3's.

    Raises NotDeployedError, and what the clients raise.
    """
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    try:
        names = [
            resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::Lambda::Function"
            # After a failed deletion, the stack still lists deleted resources.
            and resource["ResourceStatus"] != "DELETE_COMPLETE"
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise NotDeployedError(f"there is no stack {stack} here") from None
    found = [_function(name, functions) for name in names]
    ours = [function for function in found if function is not None]
    if not ours:
        raise NotDeployedError(f"the stack {stack} has no function of Loki-Shipper")
    return ours


def function_named(name: str, functions: Any) -> DeployedFunction:
    """Find a function of Loki-Shipper by its name or ARN; `functions` is boto3's client of Lambda.

    Raises NotDeployedError, and what the client raises.
    """
    function = _function(name, functions)
    if function is None:
        raise NotDeployedError(f"the function {name} is not one of Loki-Shipper")
    return function


def _function(name: str, functions: Any) -> DeployedFunction | None:
    """Read a function's configuration; None if it is not a function of Loki-Shipper."""
    try:
        found = functions.get_function_configuration(FunctionName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise NotDeployedError(f"there is no function {name} here") from None
    environ = found.get("Environment", {}).get("Variables", {})
    kind = _kind(found.get("Handler", ""), environ)
    if kind is None:
        return None
    arn, log_group = found["FunctionArn"], f"/aws/lambda/{found['FunctionName']}"
    return DeployedFunction(
        kind=kind,
        # Filters that send to an alias must keep sending to it.
        arn=name if name.startswith(f"{arn}:") else arn,
        role=found["Role"],
        log_group=found.get("LoggingConfig", {}).get("LogGroup") or log_group,
        environ=environ,
        in_vpc=bool(found.get("VpcConfig", {}).get("SubnetIds")),
        trouble=_trouble(found),
    )


def _kind(handler: str, environ: Mapping[str, str]) -> FunctionKind | None:
    for name, kind in _OF_SHIPPERS_HANDLER.items():
        if name in environ:
            return kind
    if handler in _HANDLERS:
        return _HANDLERS[handler]
    return next((kind for name, kind in _VARIABLES.items() if name in environ), None)


def _trouble(found: Mapping[str, Any]) -> str:
    states = (found.get("State", "Active"), found.get("LastUpdateStatus", "Successful"))
    if states[0] in {"Active", "Inactive"} and states[1] == "Successful":
        return ""
    return str(found.get("StateReason") or " and ".join(states))
