"""What the subscriber asks of AWS; here its answers and errors become our own.

boto3, slow to load, is imported only when a client is made.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from loki_shipper.aws.arn import (
    Arn,
    function_arn,
    log_group_name,
    parse_arn,
)
from loki_shipper.aws.boto import Bounds, call_boto, get_object, make_client, put_object
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.objects import read_object, write_object
from loki_shipper.aws.tags import log_group_tags
from loki_shipper.model import LogEvent
from loki_shipper.subscriber.model import Filter, Filters, LogGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from loki_shipper.aws.boto import AwsSession
    from loki_shipper.aws.objects import ObjectRead, ObjectWrite
    from loki_shipper.aws.paced_calls import PacedCalls
    from loki_shipper.aws.tags import TagOperation
    from loki_shipper.subscriber.settings import SubscriberSettings

_LAMBDA_GROUP = "/aws/lambda/"
# PacedCalls makes the retries.
_BOUNDS = Bounds(connect=5, read=30, attempts=1)
# A function may run for 15 minutes.
_INVOKE_BOUNDS = Bounds(connect=5, read=910, attempts=1)
_POLICY = "SUBSCRIPTION_FILTER_POLICY"


class SubscriberClients(NamedTuple):
    """The boto3 clients that are called, or what stands for them in a test."""

    logs: Any
    tagging: Any
    s3: Any
    functions: Any
    queues: Any


def connect(session: AwsSession | None = None) -> SubscriberClients:
    """Make the clients; region, credentials and endpoint are boto3's to find."""
    return SubscriberClients(
        make_client("logs", _BOUNDS, session),
        make_client("resourcegroupstaggingapi", _BOUNDS, session),
        make_client("s3", _BOUNDS, session),
        make_client("lambda", _INVOKE_BOUNDS, session),
        make_client("sqs", _BOUNDS, session),
    )


class PolicyTexts(NamedTuple):
    """Our account policy as AWS has it; `updated` is when it was put last, in ms since 1970."""

    document: str
    criteria: str
    updated: int


class SubscriberAws:
    """CloudWatch Logs, tags, bucket and shipper of one account and Region.

    Every method raises AwsError, after trying again what may go better.
    """

    def __init__(
        self, clients: SubscriberClients, settings: SubscriberSettings, pace: PacedCalls
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._pace = pace

    def log_groups(self, prefix: str | None = None) -> Iterator[LogGroup]:
        """List log groups, without tags: all, or those whose names start so."""
        asked: dict[str, Any] = {"limit": 50}
        if prefix is not None:
            asked["logGroupNamePrefix"] = prefix
        for page in self._pages("DescribeLogGroups", self._clients.logs.describe_log_groups, asked):
            for group in page["logGroups"]:
                yield LogGroup(
                    group["logGroupName"],
                    group["creationTime"],
                    group.get("logGroupClass", "STANDARD"),
                )

    def log_group(self, name: str) -> LogGroup | None:
        """Find one log group; None where there is none."""
        return next((group for group in self.log_groups(name) if group.name == name), None)

    def all_tags(self) -> dict[str, dict[str, str]]:
        """Give the tags of all log groups that have any, a function's for its log group's."""
        kinds = ["logs", *(["lambda:function"] if self._settings.function_tags else [])]
        asked = {"ResourceTypeFilters": kinds, "ResourcesPerPage": 100}
        return self._tags(asked)

    def tags(self, name: str) -> dict[str, str]:
        """Give the tags of one log group, its function's where it has none. Fresher than all."""
        own = self._own_tags(name)
        if own or not name.startswith(_LAMBDA_GROUP) or not self._settings.function_tags:
            return own
        function = name.removeprefix(_LAMBDA_GROUP)
        return self._function_tags(function_arn(self._settings.origin, function))

    def _function_tags(self, arn: str) -> dict[str, str]:
        """Give a function's tags; none where there is no such function."""
        functions = self._clients.functions
        try:
            answer = self._call("ListTags", lambda: functions.list_tags(Resource=arn))
        except AwsError as error:
            if error.kind != "gone":
                raise
            return {}
        tags: dict[str, str] = answer["Tags"]
        return tags

    def _own_tags(self, name: str) -> dict[str, str]:
        logs = self._clients.logs

        def call(operation: TagOperation, arguments: Mapping[str, str]) -> Any:
            by_name = operation == "ListTagsLogGroup"
            list_tags = logs.list_tags_log_group if by_name else logs.list_tags_for_resource
            return self._call(operation, lambda: list_tags(**arguments))

        return log_group_tags(name, self._settings.origin, call)

    def _tags(self, asked: dict[str, Any]) -> dict[str, dict[str, str]]:
        own: dict[str, dict[str, str]] = {}
        functions: dict[str, dict[str, str]] = {}
        get = self._clients.tagging.get_resources
        for page in self._pages("GetResources", get, asked):
            for resource in page["ResourceTagMappingList"]:
                tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
                match parse_arn(resource["ResourceARN"]):
                    case Arn(service="lambda", resource=("function", name)):
                        functions[_LAMBDA_GROUP + name] = tags
                    case _ if tags and (group := log_group_name(resource["ResourceARN"])):
                        own[group] = tags
        return functions | own

    def filters(self, name: str) -> Filters:
        """Read a log group's filters."""
        page = self._call(
            "DescribeSubscriptionFilters",
            lambda: self._clients.logs.describe_subscription_filters(logGroupName=name),
        )
        found = page["subscriptionFilters"]
        mine = self._settings.filter_name
        ours = [
            Filter(each["filterPattern"], each["destinationArn"], each["creationTime"])
            for each in found
            if each["filterName"] == mine
        ]
        foreign = (each["filterName"] for each in found if each["filterName"] != mine)
        return Filters(ours[0] if ours else None, tuple(sorted(foreign)))

    def put_filter(self, name: str, pattern: str, ready: Callable[[], None] = lambda: None) -> None:
        """Put our filter on a log group, or over the one of ours that is there.

        `ready` is called before each try; what it raises is raised.
        """

        def put() -> None:
            ready()
            self._clients.logs.put_subscription_filter(
                logGroupName=name,
                filterName=self._settings.filter_name,
                filterPattern=pattern,
                destinationArn=self._settings.shipper_arn,
            )

        self._call("PutSubscriptionFilter", put)

    def delete_filter(self, name: str) -> None:
        """Delete our filter from a log group."""
        self._call(
            "DeleteSubscriptionFilter",
            lambda: self._clients.logs.delete_subscription_filter(
                logGroupName=name, filterName=self._settings.filter_name
            ),
        )

    def put_account_policy(
        self, document: str, criteria: str, ready: Callable[[], None] = lambda: None
    ) -> None:
        """Put our account policy, or over the one that is there.

        `ready` is called before each try; what it raises is raised.
        """

        def put() -> None:
            ready()
            self._clients.logs.put_account_policy(
                policyName=self._settings.filter_name,
                policyType=_POLICY,
                policyDocument=document,
                scope="ALL",
                selectionCriteria=criteria,
            )

        # The right to it comes with the mode, seconds before: IAM is slower than CloudFormation.
        self._call("PutAccountPolicy", lambda: _denied_for_now(put))

    def account_policy(self) -> PolicyTexts | None:
        """Read our account policy; None: there is none."""
        try:
            answer = self._call(
                "DescribeAccountPolicies",
                lambda: self._clients.logs.describe_account_policies(
                    policyType=_POLICY, policyName=self._settings.filter_name
                ),
            )
        except AwsError as error:
            if error.kind == "gone":
                return None
            raise
        for policy in answer["accountPolicies"]:
            criteria = policy.get("selectionCriteria", "")
            return PolicyTexts(policy["policyDocument"], criteria, policy["lastUpdatedTime"])
        return None

    def delete_account_policy(self) -> None:
        """Delete our account policy, if it is there."""
        try:
            self._call(
                "DeleteAccountPolicy",
                lambda: self._clients.logs.delete_account_policy(
                    policyName=self._settings.filter_name, policyType=_POLICY
                ),
            )
        except AwsError as error:
            if error.kind != "gone":
                raise

    def events(
        self, name: str, *, start: int, end: int, pattern: str, ingested_before: int | None = None
    ) -> Iterator[list[tuple[str, LogEvent]]]:
        """Read back pages of log events with their log streams, from `start` to before `end`.

        Those are the log events' own times; `ingested_before` is about when they came. All are in
        ms since 1970.
        """
        asked = {
            "logGroupName": name,
            "startTime": start,
            "endTime": end - 1,
            "filterPattern": pattern,
        }
        read = self._clients.logs.filter_log_events
        for page in self._pages("FilterLogEvents", read, asked):
            yield [
                (
                    event["logStreamName"],
                    LogEvent(event["eventId"], event["timestamp"], event["message"]),
                )
                for event in page["events"]
                if ingested_before is None or event["ingestionTime"] < ingested_before
            ]

    def ship(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Invoke the shipper on a payload and wait for its report; empty where it gives none.

        Where the shipper fails nothing of the payload is kept, as it would be of an event that
        CloudWatch Logs sends.
        """
        body = json.dumps(payload).encode()

        def invoke() -> tuple[bytes, bool]:
            answer = self._clients.functions.invoke(
                FunctionName=self._settings.shipper_arn,
                InvocationType="RequestResponse",
                Payload=body,
            )
            return answer["Payload"].read(), "FunctionError" in answer

        try:
            answer, failed = self._call("Invoke", invoke)
        except AwsError as error:
            if error.kind != "gone":
                raise
            # It is the function that is gone, not what is shipped.
            raise AwsError("refused", error.code, str(error)) from None
        said = json.loads(answer or b"null") or {}
        if failed:
            raise AwsError("refused", str(said.get("errorType")), str(said.get("errorMessage")))
        if said.get("failure"):
            raise AwsError("refused", "DeliveryError", str(said["failure"]))
        return dict(said)

    def read_object(self, key: str) -> ObjectRead:
        """Read an object of the bucket."""
        get = partial(get_object, self._clients.s3, self._bucket, key)
        return read_object(lambda: self._pace("GetObject", get))

    def write_object(self, key: str, body: bytes, etag: str | None) -> ObjectWrite:
        """Write an object that still has this ETag; None: that does not exist."""
        put = partial(put_object, self._clients.s3, self._bucket, key, body, etag)
        return write_object(lambda: self._pace("PutObject", put))

    @property
    def _bucket(self) -> str:
        assert self._settings.bucket is not None
        return self._settings.bucket

    def put_on_queue(self, message: str) -> None:
        """Have another invocation of the subscriber take a message from its queue."""
        self._call(
            "SendMessage",
            lambda: self._clients.queues.send_message(
                QueueUrl=self._settings.queue_url, MessageBody=message
            ),
        )

    def wait(self, tries: int) -> None:
        """Wait for a random time after so many tries that failed."""
        self._pace.wait(tries)

    def _pages(
        self,
        operation: str,
        call: Callable[..., Any],
        asked: dict[str, Any],
    ) -> Iterator[Any]:
        token = "PaginationToken" if operation == "GetResources" else "nextToken"
        following = asked
        while True:
            page = self._call(operation, lambda: call(**following))  # noqa: B023 - called at once
            yield page
            if not page.get(token):
                return
            following = {**asked, token: page[token]}

    def _call[T](self, operation: str, call: Callable[[], T]) -> T:
        return self._pace(operation, lambda: call_boto(call))


def _denied_for_now(call: Callable[[], None]) -> None:
    """Call what may be denied because a right is not effective yet."""
    try:
        call_boto(call)
    except AwsError as error:
        if error.kind == "denied":
            raise AwsError("not_permitted_yet", error.code, str(error)) from None
        raise
