"""Makes the subscriber's calls to AWS, and turns the answers into its own types."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from loki_shipper.aws.arn import function_arn
from loki_shipper.aws.boto import call_boto, get_object, put_object
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.objects import ObjectMissing, read_object, write_object
from loki_shipper.aws.tags import log_group_tags
from loki_shipper.model import LogEvent
from loki_shipper.shipper.labels.tag_index import INDEXES
from loki_shipper.subscriber.bucket_calls import BucketCalls
from loki_shipper.subscriber.model import Filter, Filters, LogGroup
from loki_shipper.subscriber.ship import invoke_shipper, write_for_hub
from loki_shipper.subscriber.tagged_resources import (
    LAMBDA_GROUP,
    TagsByName,
    resource_types,
    sorted_by_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from loki_shipper.aws.objects import ObjectRead, ObjectWrite
    from loki_shipper.aws.paced_calls import PacedCalls
    from loki_shipper.aws.tags import TagOperation
    from loki_shipper.subscriber.clients import SubscriberClients
    from loki_shipper.subscriber.settings import SubscriberSettings

_POLICY = "SUBSCRIPTION_FILTER_POLICY"
_FILTER_OPTIONS = ("applyOnTransformedLogs", "fieldSelectionCriteria", "emitSystemFields")


class PolicyTexts(NamedTuple):
    """Our account policy, as AWS returns it; `updated` is in ms since 1970."""

    document: str
    criteria: str
    updated: int


class SubscriberAws:
    """Calls CloudWatch Logs, S3, SQS, the shipper and the tagging API of one account and Region.

    Every method retries, and raises AwsError. `buckets` calls for buckets with log files.
    """

    def __init__(
        self, clients: SubscriberClients, settings: SubscriberSettings, pace: PacedCalls
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._pace = pace
        self.buckets = BucketCalls(clients.s3, clients.event_rules, settings.origin.account, pace)

    def log_groups(self, prefix: str | None = None) -> Iterator[LogGroup]:
        """List the log groups with this prefix, without their tags; None: all of them."""
        arguments: dict[str, Any] = {"limit": 50}
        if prefix is not None:
            arguments["logGroupNamePrefix"] = prefix
        describe = self._clients.logs.describe_log_groups
        for page in self._pages("DescribeLogGroups", describe, arguments):
            for group in page["logGroups"]:
                yield LogGroup(
                    group["logGroupName"],
                    group["creationTime"],
                    group.get("logGroupClass", "STANDARD"),
                    stored_bytes=group.get("storedBytes", 0),
                    retention_days=group.get("retentionInDays"),
                )

    def log_group(self, name: str) -> LogGroup | None:
        """Find one log group; None if it does not exist."""
        return next((group for group in self.log_groups(name) if group.name == name), None)

    def all_tags(self) -> TagsByName:
        """Give the tags of all log groups that have tags, and of what log files come from.

        With FUNCTION_TAGS, the tags of a function replace those that its log group lacks.
        """
        kinds = resource_types(self._settings)
        arguments = {"ResourceTypeFilters": kinds, "ResourcesPerPage": 100}
        pages = self._pages("GetResources", self._clients.tagging.get_resources, arguments)
        resources = (each for page in pages for each in page["ResourceTagMappingList"])
        return sorted_by_name(resources, self._settings)

    def tags(self, name: str) -> dict[str, str]:
        """Give the tags of one log group, or of its function if it has none.

        These are newer than those of `all_tags`.
        """
        own = log_group_tags(name, self._settings.origin, self._list_tags)
        if own or not name.startswith(LAMBDA_GROUP) or not self._settings.function_tags:
            return own
        function = name.removeprefix(LAMBDA_GROUP)
        return self._function_tags(function_arn(self._settings.origin, function))

    def _function_tags(self, arn: str) -> dict[str, str]:
        """Give a function's tags; no tags if the function does not exist."""
        functions = self._clients.functions
        try:
            answer = self._call("ListTags", lambda: functions.list_tags(Resource=arn))
        except AwsError as error:
            if error.kind != "gone":
                raise
            return {}
        tags: dict[str, str] = answer["Tags"]
        return tags

    def _list_tags(self, operation: TagOperation, arguments: Mapping[str, str]) -> Any:
        logs, by_name = self._clients.logs, operation == "ListTagsLogGroup"
        list_tags = logs.list_tags_log_group if by_name else logs.list_tags_for_resource
        return self._call(operation, lambda: list_tags(**arguments))

    def filters(self, name: str) -> Filters:
        """Read a log group's filters."""
        found, mine = self._filters(name), self._settings.filter_name
        ours = [
            Filter(
                each["filterPattern"],
                each["destinationArn"],
                each["creationTime"],
                tuple(each.get("emitSystemFields") or ()),
            )
            for each in found
            if each["filterName"] == mine
        ]
        foreign = (each["filterName"] for each in found if each["filterName"] != mine)
        return Filters(ours[0] if ours else None, tuple(sorted(foreign)))

    def filter_options(self, name: str) -> dict[str, Any]:
        """Read the options of our filter on a log group that we do not choose ourselves."""
        return {
            option: each[option]
            for each in self._filters(name)
            if each["filterName"] == self._settings.filter_name
            for option in _FILTER_OPTIONS
            if each.get(option)
        }

    def _filters(self, name: str) -> list[dict[str, Any]]:
        describe = self._clients.logs.describe_subscription_filters
        page = self._call("DescribeSubscriptionFilters", lambda: describe(logGroupName=name))
        return list(page["subscriptionFilters"])

    def put_filter(
        self,
        name: str,
        pattern: str,
        system_fields: tuple[str, ...],
        kept: Mapping[str, Any],
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Put our filter on a log group, in place of an older one with the options `kept`.

        Calls `ready` before each attempt, and passes its errors on.
        """
        options = {"emitSystemFields": [*system_fields]} if system_fields else {}

        def put() -> None:
            ready()
            self._clients.logs.put_subscription_filter(
                logGroupName=name,
                filterName=self._settings.filter_name,
                filterPattern=pattern,
                destinationArn=self._settings.filter_destination,
                **{**options, **kept},
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
        """Put our account policy, in place of an older one of ours.

        Calls `ready` before each attempt, and passes its errors on.
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

        # CloudFormation grants the right seconds before the call, and IAM is slower than that.
        self._call("PutAccountPolicy", lambda: _retry_denied(put))

    def account_policy(self) -> PolicyTexts | None:
        """Read our account policy; None if it does not exist."""
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
        """Delete our account policy, if it exists."""
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
        """Read pages of log events with their log streams.

        The timestamps are from `start` to before `end`, the ingestion times before
        `ingested_before`. All are in ms since 1970.
        """
        arguments = {
            "logGroupName": name,
            "startTime": start,
            "endTime": end - 1,
            "filterPattern": pattern,
        }
        read = self._clients.logs.filter_log_events
        for page in self._pages("FilterLogEvents", read, arguments):
            yield [
                (
                    event["logStreamName"],
                    LogEvent(event["eventId"], event["timestamp"], event["message"]),
                )
                for event in page["events"]
                if ingested_before is None or event["ingestionTime"] < ingested_before
            ]

    def ship(self, event: dict[str, Any]) -> dict[str, Any]:
        """Ship the payloads of an event, and give a report: that of the shipper, if there is one.

        A member of a hub has none, and leaves the payloads in the hub's bucket.
        """
        settings = self._settings
        if settings.hub_bucket is not None:
            return write_for_hub(event, settings.origin.account, self._put_into_hub)
        assert settings.shipper_arn is not None
        call = partial(self._call, "Invoke")
        return invoke_shipper(self._clients.functions, settings.shipper_arn, event, call)

    def _put_into_hub(self, key: str, body: bytes) -> None:
        # The key depends on the content, so an object that is there already is the same.
        bucket = self._settings.hub_bucket
        assert bucket is not None
        self._write(bucket, key, body, None)

    def read_object(self, key: str) -> ObjectRead:
        """Read an object of our bucket, or of the hub's if its key is one of the tag index."""
        bucket = self._bucket(key)
        get = partial(get_object, self._clients.s3, bucket, key)
        try:
            return read_object(lambda: self._pace("GetObject", get))
        except AwsError as error:
            # We may not list the hub's bucket, so S3 answers 403 for a missing object. If the
            # object exists, the write finds out.
            if error.kind == "denied" and bucket == self._settings.hub_bucket:
                return ObjectMissing()
            raise

    def write_object(self, key: str, body: bytes, etag: str | None) -> ObjectWrite:
        """Write an object that still has this ETag; None: that does not exist."""
        return self._write(self._bucket(key), key, body, etag)

    def _write(self, bucket: str, key: str, body: bytes, etag: str | None) -> ObjectWrite:
        put = partial(put_object, self._clients.s3, bucket, key, body, etag)
        return write_object(lambda: self._pace("PutObject", put))

    def _bucket(self, key: str) -> str:
        hub = self._settings.hub_bucket
        bucket = hub if hub is not None and key.startswith(INDEXES) else self._settings.bucket
        assert bucket is not None
        return bucket

    def put_on_queue(self, message: str) -> None:
        """Put a message on the queue of the subscriber, for another invocation."""
        self._call(
            "SendMessage",
            lambda: self._clients.queues.send_message(
                QueueUrl=self._settings.queue_url, MessageBody=message
            ),
        )

    def wait(self, attempts: int) -> None:
        """Wait a random time, after this many writes that conflicted."""
        self._pace.wait(attempts)

    def _pages(
        self, operation: str, call: Callable[..., Any], arguments: dict[str, Any]
    ) -> Iterator[Any]:
        token = "PaginationToken" if operation == "GetResources" else "nextToken"
        following = arguments
        while True:
            page = self._call(operation, lambda: call(**following))  # noqa: B023 - called at once
            yield page
            if not page.get(token):
                return
            following = {**arguments, token: page[token]}

    def _call[T](self, operation: str, call: Callable[[], T]) -> T:
        return self._pace(operation, lambda: call_boto(call))


def _retry_denied(call: Callable[[], None]) -> None:
    """Make a call, and let PacedCalls retry it while IAM denies it."""
    try:
        call_boto(call)
    except AwsError as error:
        if error.kind == "denied":
            raise AwsError("not_permitted_yet", error.code, str(error)) from None
        raise
