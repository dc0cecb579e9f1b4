"""What one bucket's configuration becomes: ours is added, changed and taken out, and no other."""

from typing import Any

import pytest

from loki_shipper.subscriber.buckets.notifications import (
    OurNotifications,
    is_same,
    merged,
    our_entries,
    widest,
)
from loki_shipper.subscriber.buckets.plan import (
    BucketReason,
    DeleteNotification,
    PutNotification,
    SkipBucket,
    UnreachableBucket,
    WantedBucket,
    plan_bucket,
)
from loki_shipper.subscriber.unknown_elements import UNKNOWN_ELEMENTS

QUEUE = "arn:aws:sqs:eu-central-1:123456789012:log-files"
THEIRS = "arn:aws:sqs:eu-central-1:123456789012:theirs"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:theirs"
FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:theirs"
OURS = OurNotifications("loki-shipper", QUEUE)
CREATED = "s3:ObjectCreated:*"


def entry(
    name: str, *events: str, prefix: str = "", suffix: str = "", **arn: str
) -> dict[str, Any]:
    values = {"Prefix": prefix, "Suffix": suffix}
    rules = [{"Name": key, "Value": value} for key, value in values.items() if value]
    filtered = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"Id": name, "Events": list(events or [CREATED]), **arn, **filtered}


def plan(config: dict[str, Any], *prefixes: str) -> Any:
    return plan_bucket(WantedBucket("my-logs", prefixes), config, OURS)


EVERYTHING_ELSE = {
    "QueueConfigurations": [entry("q", prefix="in/", QueueArn=THEIRS)],
    "TopicConfigurations": [entry("t", "s3:ObjectRemoved:*", TopicArn=TOPIC)],
    "LambdaFunctionConfigurations": [
        entry("l", "s3:ObjectCreated:Put", prefix="images/", LambdaFunctionArn=FUNCTION)
    ],
}


def test_an_empty_configuration_gets_ours() -> None:
    action = plan({}, "")
    assert action == PutNotification(
        "my-logs",
        ("",),
        "new",
        {
            "QueueConfigurations": [
                {"Id": "loki-shipper-log-files-1", "QueueArn": QUEUE, "Events": [CREATED]}
            ]
        },
    )


def test_everything_that_is_not_ours_stays_as_it_is() -> None:
    action = plan(EVERYTHING_ELSE, "AWSLogs/", "web/")
    assert isinstance(action, PutNotification)
    assert action.config["TopicConfigurations"] == EVERYTHING_ELSE["TopicConfigurations"]
    assert (
        action.config["LambdaFunctionConfigurations"]
        == (EVERYTHING_ELSE["LambdaFunctionConfigurations"])
    )
    theirs, *ours = action.config["QueueConfigurations"]
    assert theirs == EVERYTHING_ELSE["QueueConfigurations"][0]
    assert [each["Filter"]["Key"]["FilterRules"] for each in ours] == [
        [{"Name": "prefix", "Value": "AWSLogs/"}],
        [{"Name": "prefix", "Value": "web/"}],
    ]
    # Taken out again, the configuration is what it was.
    taken = plan(action.config)
    assert isinstance(taken, DeleteNotification)
    assert taken.config == EVERYTHING_ELSE


def test_what_is_in_place_is_left_as_it_is() -> None:
    config = merged(EVERYTHING_ELSE, OURS, ["a/", "b/"])
    [_, first, second] = config["QueueConfigurations"]
    for rule in first["Filter"]["Key"]["FilterRules"]:
        # S3 returns it so.
        rule["Name"] = "Prefix"
    config["QueueConfigurations"] = [second, first, EVERYTHING_ELSE["QueueConfigurations"][0]]
    assert plan(config, "a/", "b/") == SkipBucket("my-logs", BucketReason.LINKED)


@pytest.mark.parametrize("before", [("a/",), ("a/", "b/", "c/"), ("",), ("a/b/",)])
def test_other_prefixes_change_ours(before: tuple[str, ...]) -> None:
    config = merged(EVERYTHING_ELSE, OURS, before)
    action = plan(config, "a/", "b/")
    assert isinstance(action, PutNotification)
    assert action.why == "changed"
    assert is_same(action.config, merged(EVERYTHING_ELSE, OURS, ["a/", "b/"]))


def test_an_entry_to_an_earlier_queue_of_the_stack_is_replaced() -> None:
    config = merged({}, OurNotifications("loki-shipper", THEIRS), ["a/"])
    action = plan(config, "a/")
    assert isinstance(action, PutNotification)
    [only] = action.config["QueueConfigurations"]
    assert only["QueueArn"] == QUEUE


@pytest.mark.parametrize(
    "name",
    ["loki-shipper", "loki-shipper-2-log-files-1", "my-loki-shipper-log-files-1", "log-files-1"],
)
def test_an_entry_of_another_name_is_not_ours(name: str) -> None:
    config = {"QueueConfigurations": [entry(name, QueueArn=THEIRS)]}
    assert our_entries(config, OURS) == []
    assert plan(config) == SkipBucket("my-logs", BucketReason.NOT_LISTED)


@pytest.mark.parametrize(
    "theirs",
    [
        entry("x", LambdaFunctionArn=FUNCTION),
        entry("x", "s3:ObjectCreated:Put", "s3:ObjectRemoved:*", LambdaFunctionArn=FUNCTION),
        entry("x", prefix="AWS", LambdaFunctionArn=FUNCTION),
        entry("x", prefix="AWSLogs/1234/", suffix=".gz", LambdaFunctionArn=FUNCTION),
        entry("x", prefix="AWSLogs%2F", LambdaFunctionArn=FUNCTION),
    ],
)
def test_an_entry_that_overlaps_ours_is_named(theirs: dict[str, Any]) -> None:
    config = {"LambdaFunctionConfigurations": [theirs]}
    assert plan(config, "AWSLogs/") == SkipBucket(
        "my-logs", BucketReason.OVERLAP, f"x to {FUNCTION}"
    )


@pytest.mark.parametrize(
    "theirs",
    [
        entry("x", "s3:ObjectRemoved:*", "s3:ObjectRestore:*", TopicArn=TOPIC),
        entry("x", prefix="AWSLog/", TopicArn=TOPIC),
        entry("x", prefix="other/", suffix=".gz", TopicArn=TOPIC),
    ],
)
def test_an_entry_for_other_objects_or_events_is_no_obstacle(theirs: dict[str, Any]) -> None:
    assert isinstance(plan({"TopicConfigurations": [theirs]}, "AWSLogs/"), PutNotification)


def test_an_entry_of_others_to_our_queue_is_enough() -> None:
    config = {"QueueConfigurations": [entry("terraform", prefix="AWSLogs/", QueueArn=QUEUE)]}
    assert plan(config, "AWSLogs/1/", "AWSLogs/2/") == SkipBucket("my-logs", BucketReason.LINKED)
    # It is not enough for other objects.
    assert isinstance(plan(config, "web/"), PutNotification)


def test_a_bucket_that_sends_to_event_bridge_is_left_as_it_is() -> None:
    config = {**EVERYTHING_ELSE, "EventBridgeConfiguration": {}}
    assert plan(config, "AWSLogs/") == SkipBucket("my-logs", BucketReason.EVENT_BRIDGE)


def test_ours_stays_and_follows_when_event_bridge_is_turned_on_later() -> None:
    config = {**merged({}, OURS, ["a/"]), "EventBridgeConfiguration": {}}
    assert plan(config, "a/") == SkipBucket("my-logs", BucketReason.LINKED)
    changed = plan(config, "b/")
    assert isinstance(changed, PutNotification)
    assert changed.config["EventBridgeConfiguration"] == {}


def test_a_configuration_with_unknown_parts_is_not_written() -> None:
    unknown = {UNKNOWN_ELEMENTS: ["MqttConfiguration"]}
    assert plan(unknown, "a/") == SkipBucket(
        "my-logs", BucketReason.UNKNOWN_KIND, "MqttConfiguration"
    )
    there = {**merged({}, OURS, ["a/"]), **unknown}
    assert plan(there, "a/") == SkipBucket("my-logs", BucketReason.LINKED)
    assert plan(there) == SkipBucket("my-logs", BucketReason.UNKNOWN_KIND, "MqttConfiguration")


def test_special_characters_of_a_prefix_are_written_as_in_a_url() -> None:
    action = plan({}, "aws account=1/é/")
    assert isinstance(action, PutNotification)
    [only] = action.config["QueueConfigurations"]
    assert only["Filter"]["Key"]["FilterRules"][0]["Value"] == "aws+account%3D1/%C3%A9/"
    assert plan(action.config, "aws account=1/é/").reason is BucketReason.LINKED


def test_prefixes_below_others_are_left_out() -> None:
    assert widest(["b/", "a/x/", "a/", "a/", "c/d"]) == ("a/", "b/", "c/d")
    assert widest(["a/", ""]) == ("",)


@pytest.mark.parametrize("reason", [BucketReason.DENIED, BucketReason.OTHER_REGION])
def test_a_bucket_out_of_reach_is_left_with_the_reason(reason: BucketReason) -> None:
    seen = UnreachableBucket(reason, "facts")
    wanted = WantedBucket("my-logs", ("",))
    assert plan_bucket(wanted, seen, OURS) == SkipBucket("my-logs", reason, "facts")


@pytest.mark.parametrize("reason", list(BucketReason))
def test_each_reason_has_words(reason: BucketReason) -> None:
    assert reason.words
