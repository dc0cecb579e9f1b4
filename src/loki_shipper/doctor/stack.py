"""The checks of a deployed stack: functions, their rights, the bucket, filters, the tag index.

Each AWS call goes to a client that is an argument; what may not be looked at is yellow, as a
person's rights are not the stack's.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from loki_shipper.aws.arn import function_arn
from loki_shipper.deployed_functions import DeployedFunction, FunctionKind
from loki_shipper.doctor.finding import Finding, failure, ok, warning
from loki_shipper.doctor.template import Right, TemplateValues, granted
from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.redriver.bucket import FAILED, OF_LAMBDA
from loki_shipper.settings import Settings
from loki_shipper.settings import variables as of_shipper
from loki_shipper.shipper.labels.tag_index import decode_index, index_key
from loki_shipper.subscriber.memory import decode_memory, memory_key
from loki_shipper.subscriber.settings import variables as of_subscriber
from loki_shipper.template import read_template

LOG_GROUP = "/loki-shipper/doctor"
"""Log group of the line that the function itself ships; there is none of this name."""

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
_GONE = {"NoSuchBucket", "404", "NoSuchKey", "ResourceNotFoundException"}
_DEPLOY = "deploy the stack again, with `loki-shipper deploy`"
_HOUR = timedelta(hours=1)


class DoctorClients(NamedTuple):
    """The boto3 clients that are called, or what stands for them in a test."""

    cloudformation: Any
    functions: Any
    iam: Any
    logs: Any
    s3: Any


class DeployedStack(NamedTuple):
    """What is known of a stack: resources by logical id, parameters by name, and its id."""

    resources: dict[str, str]
    parameters: dict[str, str]
    stack_id: str | None


def read_stack(stack: str, clients: DoctorClients) -> DeployedStack:
    """Read what is known of a stack. Raises what the client of CloudFormation raises."""
    pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        # A resource that is being made has none yet.
        if "PhysicalResourceId" in resource
    }
    return DeployedStack(resources, *_chosen(stack, clients))


def _chosen(stack: str, clients: DoctorClients) -> tuple[dict[str, str], str | None]:
    """Read a stack's parameters and id; what may not be read is not known."""
    try:
        [found] = clients.cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except (ClientError, BotoCoreError):
        return {}, None
    given = {each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", ())}
    return given, found["StackId"]


def _parameters(kind: FunctionKind, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the stack's parameters that a function's environment repeats."""
    variables = of_subscriber() if kind == "subscriber" else of_shipper()
    return {
        variable.parameter: environ.get(name, "")
        for name, variable in variables.items()
        if variable.parameter
    }


def _deployment(function: DeployedFunction, stack: DeployedStack | None) -> TemplateValues:
    """Join what a function itself says with what its stack says, if that is known."""
    where, environ = function.origin, function.environ
    pseudo = {
        "AWS::Partition": where.partition,
        "AWS::Region": where.region,
        "AWS::AccountId": where.account,
        "AWS::URLSuffix": "amazonaws.com.cn" if where.partition == "aws-cn" else "amazonaws.com",
    }
    parameters = _parameters(function.kind, environ)
    if function.in_vpc:
        parameters["SubnetIds"] = "in-a-vpc"
    named = {"Bucket": "BUCKET", "ShipperAlias": "SHIPPER_ARN"}
    resources = {f"{function.kind.capitalize()}LogGroup": function.log_group} | {
        name: environ[variable] for name, variable in named.items() if environ.get(variable)
    }
    if stack is None:
        return TemplateValues(parameters, resources, pseudo)
    if stack.stack_id is not None:
        pseudo["AWS::StackId"] = stack.stack_id
    return TemplateValues(parameters | stack.parameters, resources | stack.resources, pseudo)


def check_stack(
    functions: list[DeployedFunction],
    settings: Settings,
    clients: DoctorClients,
    *,
    stack: DeployedStack | None,
    now: datetime,
) -> Iterator[Finding]:
    """Check what is deployed, one finding after the other; the shipper is the first function."""
    first = functions[0]
    for function in functions:
        yield _state(function)
        yield _guarded("iam", partial(_iam, function, stack, clients))
    if settings.tenant_tag is None:
        yield _guarded("ship", lambda: _ship(first, clients, now))
    else:
        # No tag says whose the line is, so it would wait in the bucket for ever.
        says = "not tried: with TENANT_TAG the tags of a log group name the tenant"
        yield warning("ship", says, "look whether `loki-shipper status` shows deliveries")
    yield from _bucket(first, settings, clients, now)
    yield _guarded("permission", lambda: _permission(first, clients))
    if (bucket := settings.bucket) is not None:
        yield _guarded("filters", lambda: _filters(first, bucket, clients))
        if settings.tag_labels != () or settings.tenant_tag is not None:
            yield _guarded("index", lambda: _index(first, bucket, clients, now))


def _guarded(check: str, look: Callable[[], Finding]) -> Finding:
    """Say what kept us from looking, if something did."""
    try:
        return look()
    except (ClientError, BotoCoreError) as error:
        advice = "ask somebody who may, or get the right that AWS names"
        return warning(check, f"could not be looked at: {_code(error)}", advice)


def _state(function: DeployedFunction) -> Finding:
    if function.trouble:
        return failure(
            function.kind, f"not ready: {function.trouble}", "look at it in Lambda's console"
        )
    return ok(function.kind, f"{function.name} is ready")


def rights(function: DeployedFunction, stack: DeployedStack | None) -> list[Right]:
    """List what the template grants a function, one example for each kind of resource."""
    template = read_template()
    role = f"{function.kind.capitalize()}Role"
    return list(dict.fromkeys(granted(template, role, _deployment(function, stack))))


def _iam(
    function: DeployedFunction, stack: DeployedStack | None, clients: DoctorClients
) -> Finding:
    """Ask IAM what it would decide, policies of buckets, keys and the organization apart."""
    wanted = rights(function, stack)
    together: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for each in wanted:
        together.setdefault((each.resource, each.context), []).append(each.action)
    denied = [
        f"{action} on {resource}"
        for (resource, context), actions in together.items()
        for action in _denied(function.role, actions, resource, context, clients.iam)
    ]
    title = f"the {function.kind}'s role"
    if denied:
        says = f"{title} may not {', '.join(denied)}"
        return failure("iam", says, _DEPLOY)
    return ok("iam", f"{title} may do all {len(wanted)} things that it has to")


def _denied(
    role: str, actions: list[str], resource: str, context: tuple[tuple[str, str], ...], iam: Any
) -> list[str]:
    """Give those of the actions on a resource that a role may not do."""
    answer = iam.simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=actions,
        ResourceArns=[resource],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context
        ],
    )
    return [
        result["EvalActionName"]
        for result in answer["EvaluationResults"]
        # A condition on something that only the real call has says nothing.
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues")
    ]


def _ship(shipper: DeployedFunction, clients: DoctorClients, now: datetime) -> Finding:
    """Let the function itself ship one line, from where it runs."""
    line = f"loki-shipper doctor {now.isoformat()}"
    newest = int(now.timestamp() * 1000)
    data = from_lines([line], log_group=LOG_GROUP, log_stream="doctor", newest=newest)
    answer = clients.functions.invoke(
        FunctionName=shipper.arn,
        InvocationType="RequestResponse",
        Payload=json.dumps(invocation_event(data)).encode(),
    )
    said = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        why = said.get("errorMessage", "") if isinstance(said, dict) else ""
        advice = "put right what it names; the log of the function says more"
        return failure("ship", f"the function fails: {why}", advice)
    if isinstance(said, dict) and said.get("delivered") == 1:
        return ok("ship", "the function shipped a line to Loki")
    report = said if isinstance(said, dict) else {}
    reasons = [
        reason for what in ("rejected", "deferred", "errored") for reason in report.get(what, ())
    ]
    says = f"the function did not deliver a line: {', '.join(reasons) or 'it gave no report'}"
    advice = "correct what the checks of Loki above name; the function's log has the answer"
    return failure("ship", says, advice)


def _bucket(
    shipper: DeployedFunction, settings: Settings, clients: DoctorClients, now: datetime
) -> Iterator[Finding]:
    bucket = settings.bucket
    if bucket is None:
        advice = "set BUCKET: without it, what Loki refuses is only counted"
        yield warning("bucket", "the function has no bucket", advice)
        return
    found = _guarded("bucket", lambda: _there(bucket, clients))
    yield found
    if found == _there_green(bucket):
        yield _guarded("kept", lambda: _destination(shipper, bucket, clients))
        yield _guarded("waiting", lambda: _waiting(shipper, bucket, clients, now))


def _there(bucket: str, clients: DoctorClients) -> Finding:
    try:
        clients.s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if _code(error) not in _GONE:
            raise
        advice = f"{_DEPLOY}, or set BUCKET to one that is there"
        return failure("bucket", f"{bucket} is not there: what fails cannot be kept", advice)
    return _there_green(bucket)


def _there_green(bucket: str) -> Finding:
    return ok("bucket", f"{bucket} is there")


def _destination(shipper: DeployedFunction, bucket: str, clients: DoctorClients) -> Finding:
    """Look where Lambda puts the event of an invocation that failed for good."""
    name = function_arn(shipper.origin, shipper.name)
    answer = clients.functions.list_function_event_invoke_configs(FunctionName=name)
    kept = [
        config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
        for config in answer["FunctionEventInvokeConfigs"]
    ]
    if any(each.endswith(f":::{bucket}") for each in kept):
        return ok("kept", "events of failed invocations go to the bucket")
    advice = f"{_DEPLOY}: its on-failure destination is the bucket"
    return failure("kept", "events of failed invocations are lost", advice)


def _waiting(
    shipper: DeployedFunction, bucket: str, clients: DoctorClients, now: datetime
) -> Finding:
    """Look at the first thousand objects of each folder: enough to know whether it backs up."""
    pages = [
        clients.s3.list_objects_v2(Bucket=bucket, Prefix=folder) for folder in (FAILED, OF_LAMBDA)
    ]
    written = [each["LastModified"] for page in pages for each in page.get("Contents", [])]
    if not written:
        return ok("waiting", "nothing waits in the bucket")
    more = " or more" if any(page.get("IsTruncated") for page in pages) else ""
    age = now - min(written)
    says = f"{len(written)}{more} objects wait in the bucket, the oldest for {_age(age)}"
    if age < _HOUR:
        return ok("waiting", says)
    return warning("waiting", says, f"loki-shipper redrive --function {shipper.arn}")


def _permission(shipper: DeployedFunction, clients: DoctorClients) -> Finding:
    """Look whether CloudWatch Logs may invoke the function, or the alias that filters send to."""
    name = function_arn(shipper.origin, shipper.name)
    aliases = clients.functions.list_aliases(FunctionName=name)["Aliases"]
    for arn in [name, *(alias["AliasArn"] for alias in aliases)]:
        try:
            policy = clients.functions.get_policy(FunctionName=arn)["Policy"]
        except ClientError as error:
            if _code(error) not in _GONE:
                raise
            continue
        if "logs.amazonaws.com" in policy:
            return ok("permission", "CloudWatch Logs may invoke the function")
    advice = f"{_DEPLOY}: nothing is delivered without it"
    return failure("permission", "CloudWatch Logs may not invoke the function", advice)


def _filters(shipper: DeployedFunction, bucket: str, clients: DoctorClients) -> Finding:
    """Look at what the subscriber remembers, and at one filter of it."""
    body = _object(clients.s3, bucket, memory_key(shipper.origin))
    if body is None:
        advice = "see `loki-shipper status`; without the subscriber, put filters by hand"
        return warning("filters", "the subscriber has not looked at any log group yet", advice)
    memory = decode_memory(body)
    if memory.account_policy:
        return ok("filters", "an account policy links the log groups")
    linked = [name for name, known in memory.groups.items() if known.filters.ours is not None]
    if not linked:
        says = "no log group is linked"
        return warning("filters", says, "loki-shipper plan says why; see IncludeLogGroups")
    name = min(linked)
    ours = memory.groups[name].filters.ours
    page = clients.logs.describe_subscription_filters(logGroupName=name)
    there = {each["destinationArn"] for each in page["subscriptionFilters"]}
    if ours is not None and ours.destination in there:
        return ok("filters", f"{len(linked)} log groups are linked, such as {name}")
    advice = "the next sweep puts it back; `loki-shipper link --all` does so now"
    return warning("filters", f"the filter of {name} is gone", advice)


def _index(
    shipper: DeployedFunction, bucket: str, clients: DoctorClients, now: datetime
) -> Finding:
    where = shipper.origin
    body = _object(clients.s3, bucket, index_key(where.account, where.region))
    index = None if body is None else decode_index(body)
    if index is None:
        advice = "`loki-shipper tags sync` writes it; until then each sandbox asks AWS for tags"
        return warning("index", "there is no tag index yet", advice)
    age = now - datetime.fromtimestamp(index.swept / 1000, UTC)
    says = f"tags of {len(index.groups)} log groups, swept {_age(age)} ago"
    if age < 3 * _HOUR:
        return ok("index", says)
    advice = "look into the subscriber's log: it sweeps every hour"
    return (failure if age > 25 * _HOUR else warning)("index", says, advice)


def _object(s3: Any, bucket: str, key: str) -> bytes | None:
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if _code(error) in _GONE:
            return None
        raise
    return body


def _code(error: ClientError | BotoCoreError) -> str:
    match error:
        case ClientError(response={"Error": {"Code": str(code)}}):
            return code
        case _:
            return type(error).__name__


def _age(age: timedelta) -> str:
    minutes = max(0, round(age.total_seconds() / 60))
    if minutes < 120:  # noqa: PLR2004 - then hours say more
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 2880 else f"{minutes // 1440} days"  # noqa: PLR2004 - likewise
