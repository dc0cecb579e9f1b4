"""Makes the calls for buckets with log files: their notifications, and a rule of EventBridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from loki_shipper.aws.boto import call_boto

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loki_shipper.aws.paced_calls import PacedCalls

_OLD_NAMES = {None: "us-east-1", "EU": "eu-west-1"}
"""Regions that GetBucketLocation gives other names."""


class EventRule(Struct, frozen=True):
    """The pattern of a rule of EventBridge, and whether the rule is enabled."""

    pattern: str
    enabled: bool


class BucketCalls:
    """Calls S3 and EventBridge about buckets of one account.

    The clients are boto3's. Each call names the account, so S3 denies it if a bucket of that name
    belongs to another one. Every method retries, and raises AwsError.
    """

    def __init__(self, s3: Any, event_rules: Any, account: str, pace: PacedCalls) -> None:
        self._s3 = s3
        self._event_rules = event_rules
        self._account = account
        self._pace = pace

    def region(self, bucket: str) -> str:
        """Give the Region of a bucket."""
        locate = self._s3.get_bucket_location
        answer = self._call(
            "GetBucketLocation", lambda: locate(Bucket=bucket, ExpectedBucketOwner=self._account)
        )
        location = answer.get("LocationConstraint") or None
        return str(_OLD_NAMES.get(location, location))

    def notifications(self, bucket: str) -> dict[str, Any]:
        """Read the notification configuration of a bucket."""
        get = self._s3.get_bucket_notification_configuration
        answer = self._call(
            "GetBucketNotificationConfiguration",
            lambda: get(Bucket=bucket, ExpectedBucketOwner=self._account),
        )
        return {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def put_notifications(self, bucket: str, config: Mapping[str, Any]) -> None:
        """Write the whole notification configuration of a bucket.

        S3 does not validate the destinations: a queue or function of somebody else that is gone
        would otherwise keep us from adding our entry, and from taking it out again.
        """
        put = self._s3.put_bucket_notification_configuration
        self._call(
            "PutBucketNotificationConfiguration",
            lambda: put(
                Bucket=bucket,
                ExpectedBucketOwner=self._account,
                SkipDestinationValidation=True,
                NotificationConfiguration=dict(config),
            ),
        )

    def rule(self, name: str) -> EventRule:
        """Read a rule of EventBridge."""
        answer = self._call("DescribeRule", lambda: self._event_rules.describe_rule(Name=name))
        return EventRule(answer["EventPattern"], answer["State"] == "ENABLED")

    def put_rule(self, name: str, rule: EventRule) -> None:
        """Change a rule of EventBridge; its targets and its description stay."""
        rules = self._event_rules

        def put() -> None:
            before = rules.describe_rule(Name=name)
            described = {"Description": before["Description"]} if "Description" in before else {}
            state = "ENABLED" if rule.enabled else "DISABLED"
            rules.put_rule(Name=name, EventPattern=rule.pattern, State=state, **described)

        self._call("PutRule", put)

    def _call[T](self, operation: str, call: Callable[[], T]) -> T:
        return self._pace(operation, lambda: call_boto(call))
