"""The functions of a deployment, as AWS Lambda has them."""

from collections.abc import Mapping
from typing import Any, Literal, override

from botocore.exceptions import ClientError
from msgspec import Struct

from loki_shipper.aws.arn import Origin, function_name, function_origin

type FunctionKind = Literal["shipper", "redriver", "subscriber"]

_HANDLERS: dict[str, FunctionKind] = {
    "loki_shipper.shipper.handler.handle": "shipper",
    "loki_shipper.redriver.handler.handle": "redriver",
    "loki_shipper.subscriber.handler.handle": "subscriber",
}
_VARIABLES: dict[str, FunctionKind] = {"SHIPPER_ARN": "subscriber", "LOKI_URL": "shipper"}
"""Settings that tell the kind of a function whose handler something else wraps."""


class NotDeployedError(Exception):
    """Raised when there is no such stack or function; the message may be shown."""


class DeployedFunction(Struct, frozen=True):
    """A function of Loki-Shipper, as it is deployed.

    `arn` has an alias where the function was named by it. `environ` may hold secrets. `trouble`
    says why Lambda does not run it, and is empty where Lambda does.
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
        """Where it runs."""
        origin = function_origin(self.arn)
        assert origin is not None
        return origin

    @override
    def __repr__(self) -> str:
        return f"Function({self.kind!r}, {self.arn!r})"


def functions_of_stack(stack: str, cloudformation: Any, functions: Any) -> list[DeployedFunction]:
    """List Loki-Shipper's functions of a stack, with boto3's clients of the two services.

    Raises NotDeployedError, and what the clients raise.
    """
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    try:
        names = [
            resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::Lambda::Function"
            # A stack whose deletion has failed lists also what is gone.
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
    """Find a function of Loki-Shipper by its name or ARN, with boto3's client of Lambda.

    Raises NotDeployedError, and what the client raises.
    """
    function = _function(name, functions)
    if function is None:
        raise NotDeployedError(f"the function {name} is not one of Loki-Shipper")
    return function


def _function(name: str, functions: Any) -> DeployedFunction | None:
    """Read a function's configuration; None where it is not one of Loki-Shipper."""
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
        # Filters that send to an alias keep sending to it.
        arn=name if name.startswith(f"{arn}:") else arn,
        role=found["Role"],
        log_group=found.get("LoggingConfig", {}).get("LogGroup") or log_group,
        environ=environ,
        in_vpc=bool(found.get("VpcConfig", {}).get("SubnetIds")),
        trouble=_trouble(found),
    )


def _kind(handler: str, environ: Mapping[str, str]) -> FunctionKind | None:
    if handler in _HANDLERS:
        return _HANDLERS[handler]
    return next((kind for name, kind in _VARIABLES.items() if name in environ), None)


def _trouble(found: Mapping[str, Any]) -> str:
    states = (found.get("State", "Active"), found.get("LastUpdateStatus", "Successful"))
    if states[0] in {"Active", "Inactive"} and states[1] == "Successful":
        return ""
    return str(found.get("StateReason") or " and ".join(states))
