"""Checks a deployed stack: functions, their rights, the bucket, filters, the tag index."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from loki_shipper.aws.arn import function_arn
from loki_shipper.aws.boto import get_object
from loki_shipper.aws.objects import ObjectFound, read_object
from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.doctor.deployed_stack import (
    DEPLOY,
    DeployedStack,
    DoctorClients,
    is_missing,
    run_check,
)
from loki_shipper.doctor.finding import Finding, Level, duration_text, failure, ok, warning
from loki_shipper.doctor.kinesis import check_mapping
from loki_shipper.doctor.log_files import check_log_files
from loki_shipper.doctor.rights import check_rights
from loki_shipper.doctor.round_trip import NotShippedError, ship
from loki_shipper.local.sample import from_lines
from loki_shipper.redriver.bucket import WAITING_NOW
from loki_shipper.settings import Settings
from loki_shipper.shipper.labels.tag_index import decode_index, index_key
from loki_shipper.subscriber.memory import decode_memory, memory_key

LOG_GROUP = "/loki-shipper/doctor"
"""Log group of the line that the function ships; it does not exist."""

_HOUR = timedelta(hours=1)


def check_stack(
    functions: list[DeployedFunction],
    settings: Settings,
    clients: DoctorClients,
    *,
    stack: DeployedStack | None,
    now: datetime,
) -> Iterator[Finding]:
    """Check a stack, finding by finding; the first function is the shipper."""
    shipper = functions[0]
    for function in functions:
        yield _state(function)
        yield run_check("iam", partial(check_rights, function, stack, clients))
        if function.kind == "kinesis":
            yield run_check("stream", partial(check_mapping, function, settings.bucket, clients))
        if function.kind == "subscriber":
            yield from check_log_files(function, clients)
    if settings.tenant_tag is None:
        yield run_check("ship", lambda: _ship(shipper, clients, now))
    else:
        # The log group has no tag that names a tenant: the line would stay in the bucket.
        says = "not tried: with TENANT_TAG the tags of a log group name the tenant"
        yield warning("ship", says, "check whether `loki-shipper status` shows deliveries")
    yield from _bucket(shipper, settings, clients, now)
    yield run_check("permission", lambda: _permission(shipper, clients))
    if (bucket := settings.bucket) is not None:
        yield run_check("filters", lambda: _filters(shipper, bucket, clients))
        if settings.tag_labels != () or settings.tenant_tag is not None:
            yield run_check("index", lambda: _index(shipper, bucket, clients, now))


def _state(function: DeployedFunction) -> Finding:
    if function.trouble:
        says = f"not ready: {function.trouble}"
        return failure(function.kind, says, "open it in Lambda's console")
    return ok(function.kind, f"{function.name} is ready")


def _ship(shipper: DeployedFunction, clients: DoctorClients, now: datetime) -> Finding:
    """Let the function ship one line, from its own network."""
    line = f"loki-shipper doctor {now.isoformat()}"
    newest = int(now.timestamp() * 1000)
    data = from_lines([line], log_group=LOG_GROUP, log_stream="doctor", newest=newest)
    try:
        ship(clients.functions, shipper.arn, data)
    except NotShippedError as error:
        if error.has_failed:
            advice = "fix what it names; the function's log says more"
        else:
            advice = "fix what the checks of Loki above name; the function's log has the answer"
        return failure("ship", str(error), advice)
    return ok("ship", "the function shipped a line to Loki")


def _bucket(
    shipper: DeployedFunction, settings: Settings, clients: DoctorClients, now: datetime
) -> Iterator[Finding]:
    bucket = settings.bucket
    if bucket is None:
        advice = "set BUCKET: without it, the function only counts the lines that Loki rejects"
        yield warning("bucket", "the function has no bucket", advice)
        return
    found = run_check("bucket", lambda: _exists(bucket, clients))
    yield found
    if found.level is Level.OK:
        yield run_check("kept", lambda: _destination(shipper, bucket, clients))
        yield run_check("waiting", lambda: _waiting(shipper, bucket, clients, now))


def _exists(bucket: str, clients: DoctorClients) -> Finding:
    try:
        clients.s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if not is_missing(error):
            raise
        says = f"{bucket} does not exist: failed lines cannot be kept"
        return failure("bucket", says, f"{DEPLOY}, or set BUCKET to an existing one")
    return ok("bucket", f"{bucket} exists")


def _destination(shipper: DeployedFunction, bucket: str, clients: DoctorClients) -> Finding:
    """Check whether the bucket is the function's on-failure destination."""
    name = function_arn(shipper.origin, shipper.name)
    answer = clients.functions.list_function_event_invoke_configs(FunctionName=name)
    destinations = [
        config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
        for config in answer["FunctionEventInvokeConfigs"]
    ]
    if any(each.endswith(f":::{bucket}") for each in destinations):
        return ok("kept", "Lambda keeps the events of failed invocations in the bucket")
    advice = f"{DEPLOY}: its on-failure destination is the bucket"
    return failure("kept", "events of failed invocations are lost", advice)


def _waiting(
    shipper: DeployedFunction, bucket: str, clients: DoctorClients, now: datetime
) -> Finding:
    """Check the age of the first thousand objects of each folder."""
    pages = [clients.s3.list_objects_v2(Bucket=bucket, Prefix=folder) for folder in WAITING_NOW]
    written = [each["LastModified"] for page in pages for each in page.get("Contents", [])]
    if not written:
        return ok("waiting", "nothing waits in the bucket")
    more = " or more" if any(page.get("IsTruncated") for page in pages) else ""
    age = now - min(written)
    oldest = duration_text(age.total_seconds())
    says = f"{len(written)}{more} objects wait in the bucket, the oldest for {oldest}"
    if age < _HOUR:
        return ok("waiting", says)
    return warning("waiting", says, f"loki-shipper redrive --function {shipper.arn}")


def _permission(shipper: DeployedFunction, clients: DoctorClients) -> Finding:
    """Check whether CloudWatch Logs may invoke the function or one of its aliases."""
    name = function_arn(shipper.origin, shipper.name)
    aliases = clients.functions.list_aliases(FunctionName=name)["Aliases"]
    for arn in [name, *(alias["AliasArn"] for alias in aliases)]:
        try:
            policy = clients.functions.get_policy(FunctionName=arn)["Policy"]
        except ClientError as error:
            if not is_missing(error):
                raise
            continue
        if "logs.amazonaws.com" in policy:
            return ok("permission", "CloudWatch Logs may invoke the function")
    advice = f"{DEPLOY}: without it, no line is delivered"
    return failure("permission", "CloudWatch Logs may not invoke the function", advice)


def _filters(shipper: DeployedFunction, bucket: str, clients: DoctorClients) -> Finding:
    """Check the subscriber's memory, and one of its filters."""
    body = _object(clients.s3, bucket, memory_key(shipper.origin))
    if body is None:
        advice = "see `loki-shipper status`; without the subscriber, put filters by hand"
        return warning("filters", "the subscriber has not yet read any log group", advice)
    memory = decode_memory(body)
    if memory.account_policy:
        return ok("filters", "an account policy links the log groups")
    linked = {name: ours for name, each in memory.groups.items() if (ours := each.filters.ours)}
    if not linked:
        advice = "`loki-shipper plan` gives the reason; see IncludeLogGroups"
        return warning("filters", "no log group is linked", advice)
    name = min(linked)
    page = clients.logs.describe_subscription_filters(logGroupName=name)
    destinations = {each["destinationArn"] for each in page["subscriptionFilters"]}
    if linked[name].destination in destinations:
        return ok("filters", f"{len(linked)} log groups are linked, such as {name}")
    advice = "the next full sweep puts it back; `loki-shipper link --all` does so now"
    return warning("filters", f"the filter of {name} is gone", advice)


def _index(
    shipper: DeployedFunction, bucket: str, clients: DoctorClients, now: datetime
) -> Finding:
    origin = shipper.origin
    body = _object(clients.s3, bucket, index_key(origin.account, origin.region))
    index = None if body is None else decode_index(body)
    if index is None:
        advice = "`loki-shipper tags sync` writes it; without it, the shipper asks AWS for tags"
        return warning("index", "there is no tag index yet", advice)
    age = now - datetime.fromtimestamp(index.swept / 1000, UTC)
    says = f"tags of {len(index.groups)} log groups, swept {duration_text(age.total_seconds())} ago"
    if age < 3 * _HOUR:
        return ok("index", says)
    advice = "read the subscriber's log: it sweeps every hour"
    return (failure if age > 25 * _HOUR else warning)("index", says, advice)


def _object(s3: Any, bucket: str, key: str) -> bytes | None:
    answer = read_object(lambda: get_object(s3, bucket, key))
    return answer.body if isinstance(answer, ObjectFound) else None
