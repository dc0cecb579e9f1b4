"""Reads the deployed stack, and the values of its template."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.errors import AwsError
from loki_shipper.canary.settings import CanarySettings
from loki_shipper.deployed_functions import DeployedFunction, FunctionKind
from loki_shipper.doctor.finding import Finding, warning
from loki_shipper.doctor.grants import TemplateValues
from loki_shipper.environment import parameter_names
from loki_shipper.settings import Settings
from loki_shipper.subscriber.settings import SubscriberSettings

DEPLOY = "deploy the stack again, with `loki-shipper deploy`"
_MISSING = {"NoSuchBucket", "404", "NoSuchKey", "ResourceNotFoundException"}


class DoctorClients(NamedTuple):
    """The boto3 clients of the checks."""

    cloudformation: Any
    functions: Any
    iam: Any
    logs: Any
    s3: Any
    queues: Any
    event_rules: Any
    keys: Any


class DeployedStack(NamedTuple):
    """A stack: its resources by logical id, its parameters by name, and its id, if readable."""

    resources: dict[str, str]
    parameters: dict[str, str]
    stack_id: str | None


def read_deployed_stack(stack: str, clients: DoctorClients) -> DeployedStack:
    """Read a stack. Raises what boto3's client of CloudFormation raises.

    The parameters and the id stay empty without the right to describe the stack.
    """
    pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        # CloudFormation has none yet for a resource that it is creating.
        if "PhysicalResourceId" in resource
    }
    try:
        [found] = clients.cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except (ClientError, BotoCoreError):
        return DeployedStack(resources, {}, None)
    given = {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", ())}
    return DeployedStack(resources, given, found["StackId"])


def template_values(function: DeployedFunction, stack: DeployedStack | None) -> TemplateValues:
    """Join the values from a function's configuration with those of its stack, if known."""
    origin, environ = function.origin, function.environ
    suffix = "amazonaws.com.cn" if origin.partition == "aws-cn" else "amazonaws.com"
    pseudo = {
        "AWS::Partition": origin.partition,
        "AWS::Region": origin.region,
        "AWS::AccountId": origin.account,
        "AWS::URLSuffix": suffix,
    }
    parameters = _parameters(function.kind, environ)
    parameters["KinesisStreamArn"] = environ.get("KINESIS_STREAM_ARN", "")
    if function.in_vpc:
        parameters["SubnetIds"] = "in-a-vpc"
    named = {
        "Bucket": "BUCKET",
        "ShipperAlias": "SHIPPER_ARN",
        "CanaryLines": "CANARY_LOG_GROUP",
    }
    resources = {f"{logical_name(function.kind)}LogGroup": function.log_group} | {
        name: environ[variable] for name, variable in named.items() if environ.get(variable)
    }
    if stack is None:
        return TemplateValues(parameters, resources, pseudo)
    if stack.stack_id is not None:
        pseudo["AWS::StackId"] = stack.stack_id
    return TemplateValues(parameters | stack.parameters, resources | stack.resources, pseudo)


def logical_name(kind: FunctionKind) -> str:
    """Give the begin of the names that the template gives to a function's resources."""
    return "".join(word.capitalize() for word in kind.split("_"))


def _parameters(kind: FunctionKind, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the stack's parameters that a function's environment repeats."""
    match kind:
        case "subscriber":
            names = parameter_names(SubscriberSettings)
        case "canary":
            names = parameter_names(Settings) | parameter_names(CanarySettings)
        case _:
            names = parameter_names(Settings)
    return {parameter: environ.get(variable, "") for variable, parameter in names.items()}


def run_check(check: str, run: Callable[[], Finding]) -> Finding:
    """Run a check; an error of AWS is a warning, as it may be about the caller's rights."""
    try:
        return call_boto(run)
    except AwsError as error:
        advice = "ask somebody with that right, or get the right that AWS names"
        return warning(check, f"could not be checked: {error.code}", advice)


def is_missing(error: ClientError) -> bool:
    """Tell whether AWS says that a resource does not exist."""
    return error.response["Error"]["Code"] in _MISSING
