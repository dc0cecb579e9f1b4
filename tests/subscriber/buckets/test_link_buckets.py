"""Runs make the buckets of LogBuckets send to the queue, and take that out again."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from loki_shipper.aws.errors import AwsError
from loki_shipper.formats import LogBucket
from loki_shipper.shipper.labels.tag_index import decode_index, index_key
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.report import BucketsReport, RunReport, metrics
from loki_shipper.subscriber.run.unlink import unlink
from loki_shipper.subscriber.settings import SubscriberSettings
from loki_shipper.subscriber.stack.custom_resource import failure
from loki_shipper.subscriber.unknown_elements import UNKNOWN_ELEMENTS
from tests.subscriber.fake_aws import (
    ACCOUNT,
    BUCKET,
    LOG_FILES_QUEUE,
    NAME,
    REGION,
    RULE,
    FakeAws,
    configured,
    error,
)
from tests.subscriber.run.simultaneous import Simultaneous

CREATE, UPDATE, DELETE = (
    StackChanged(kind, "https://example.com", {"RequestType": kind, "StackId": "s"})
    for kind in ("Create", "Update", "Delete")
)
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:theirs"
THEIRS = {
    "Id": "theirs",
    "LambdaFunctionArn": FUNCTION,
    "Events": ["s3:ObjectCreated:*"],
    "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "images/"}]}},
}


def stack(*entries: str, **fields: Any) -> SubscriberSettings:
    """The settings of a stack with these entries `bucket/prefix` in LogBuckets."""
    buckets = tuple(LogBucket(*entry.split("/", 1)) for entry in entries)
    queue = {"log_files_queue": LOG_FILES_QUEUE, "log_files_rule": RULE} if entries else {}
    return configured(log_buckets=buckets, **{**queue, **fields})


def run(fake: FakeAws, asked: Any, settings: SubscriberSettings) -> RunReport:
    return respond(asked, fake.dependencies(settings))


def sends(fake: FakeAws, bucket: str, queue: str = LOG_FILES_QUEUE) -> list[str]:
    """The prefixes of keys that a bucket announces to the queue."""
    return sorted(
        each.get("Filter", {"Key": {"FilterRules": [{"Value": ""}]}})["Key"]["FilterRules"][0][
            "Value"
        ]
        for each in fake.notifications(bucket).get("QueueConfigurations", ())
        if each["QueueArn"] == queue
    )


@pytest.mark.parametrize("asked", [CREATE, UPDATE, Sweep()], ids=["create", "update", "sweep"])
def test_a_listed_bucket_is_made_to_send_and_the_rest_of_it_stays(
    fake: FakeAws, asked: Any
) -> None:
    fake.bucket("my-logs", LambdaFunctionConfigurations=[THEIRS])
    report = run(fake, asked, stack("my-logs/AWSLogs/", "my-logs/web/"))
    assert sends(fake, "my-logs") == ["AWSLogs/", "web/"]
    assert fake.notifications("my-logs")["LambdaFunctionConfigurations"] == [THEIRS]
    assert report.buckets == BucketsReport(linked=1, put=1)
    assert report.is_finished


def test_a_second_run_writes_nothing(fake: FakeAws) -> None:
    fake.bucket("my-logs")
    run(fake, Sweep(), stack("my-logs"))
    fake.calls.clear()
    report = run(fake, Sweep(), stack("my-logs"))
    assert report.buckets == BucketsReport(linked=1, skipped={"linked": 1})
    assert fake.calls["PutBucketNotificationConfiguration"] == 0


def test_a_run_about_log_groups_leaves_buckets_alone(fake: FakeAws) -> None:
    fake.bucket("my-logs")
    fake.group("/aws/lambda/a")
    run(fake, GroupsChanged(("/aws/lambda/a",)), stack("my-logs"))
    assert fake.notifications("my-logs") == {}
    assert fake.calls["GetBucketLocation"] == 0


def test_without_log_buckets_no_bucket_is_read(fake: FakeAws) -> None:
    run(fake, Sweep(), stack())
    assert not {"GetBucketLocation", "DescribeRule"} & fake.calls.keys()


@pytest.mark.parametrize("asked", [UPDATE, Sweep()], ids=["update", "sweep"])
def test_other_prefixes_replace_ours(fake: FakeAws, asked: Any) -> None:
    fake.bucket("my-logs", LambdaFunctionConfigurations=[THEIRS])
    run(fake, CREATE, stack("my-logs/a/", "my-logs/b/"))
    run(fake, asked, stack("my-logs/b/c/"))
    assert sends(fake, "my-logs") == ["b/c/"]
    assert fake.notifications("my-logs")["LambdaFunctionConfigurations"] == [THEIRS]


@pytest.mark.parametrize(
    "after", [stack("other"), stack()], ids=["another bucket", "no bucket, and no queue"]
)
def test_ours_is_taken_out_of_a_bucket_that_is_no_longer_listed(
    fake: FakeAws, after: SubscriberSettings
) -> None:
    fake.bucket("my-logs", LambdaFunctionConfigurations=[THEIRS])
    fake.bucket("other")
    run(fake, CREATE, stack("my-logs/web/"))
    assert sends(fake, "my-logs") == ["web/"]
    report = run(fake, UPDATE, after)
    assert fake.notifications("my-logs") == {"LambdaFunctionConfigurations": [THEIRS]}
    assert report.buckets.deleted == 1
    assert "my-logs" not in fake.memory.buckets


def test_a_deleted_bucket_is_forgotten(fake: FakeAws) -> None:
    fake.bucket("my-logs")
    run(fake, CREATE, stack("my-logs"))
    assert "my-logs" in fake.memory.buckets
    del fake.buckets["my-logs"]
    report = run(fake, Sweep(), stack("my-logs"))
    assert report.buckets == BucketsReport(skipped={"gone": 1})
    assert "my-logs" not in fake.memory.buckets
    # Made again under its name, it is linked again.
    fake.bucket("my-logs")
    run(fake, Sweep(), stack("my-logs"))
    assert sends(fake, "my-logs") == [""]


@pytest.mark.parametrize("code", [None, "NoSuchBucket"], ids=["memory", "no memory"])
def test_a_deletion_takes_ours_out_and_nothing_else(fake: FakeAws, code: str | None) -> None:
    fake.bucket("my-logs", LambdaFunctionConfigurations=[THEIRS])
    fake.bucket("bridged", EventBridgeConfiguration={})
    settings = stack("my-logs/web/", "bridged")
    run(fake, CREATE, settings)
    assert sends(fake, "my-logs") == ["web/"]
    if code is not None:
        fake.before["GetObject"] = refuse(code)
    report = run(fake, DELETE, settings)
    assert fake.notifications("my-logs") == {"LambdaFunctionConfigurations": [THEIRS]}
    assert fake.notifications("bridged") == {"EventBridgeConfiguration": {}}
    assert fake.rule["State"] == "DISABLED"
    assert failure(DELETE, report) is None


def test_a_deletion_that_cannot_take_ours_out_says_so(fake: FakeAws) -> None:
    fake.bucket("my-logs")
    run(fake, CREATE, stack("my-logs"))
    fake.buckets["my-logs"]["owner"] = "210987654321"
    reason = failure(DELETE, run(fake, DELETE, stack("my-logs")))
    assert reason is not None
    assert reason.startswith("the notifications of 1 buckets could not be taken out, such as")
    assert "my-logs (denied: Access Denied)" in reason


def test_a_bucket_that_was_never_ours_to_change_does_not_fail_a_deletion(fake: FakeAws) -> None:
    fake.bucket("theirs", owner="210987654321")
    fake.bucket("far", region="us-east-1")
    settings = stack("theirs", "far")
    report = run(fake, CREATE, settings)
    assert report.buckets == BucketsReport(skipped={"denied": 1, "other_region": 1})
    assert failure(CREATE, report) is None
    assert failure(DELETE, run(fake, DELETE, settings)) is None


def test_unlink_all_takes_ours_out_until_the_next_deployment(fake: FakeAws) -> None:
    fake.bucket("my-logs")
    settings = stack("my-logs")
    run(fake, CREATE, settings)
    unlink(fake.dependencies(settings))
    assert fake.notifications("my-logs") == {}
    report = run(fake, Sweep(), settings)
    assert report.buckets.skipped == {"stopped": 1}
    run(fake, UPDATE, settings)
    assert sends(fake, "my-logs") == [""]


def test_the_bucket_of_the_stack_is_never_linked(fake: FakeAws) -> None:
    fake.bucket(BUCKET)
    report = run(fake, CREATE, stack(BUCKET))
    assert fake.notifications(BUCKET) == {}
    assert report.buckets.skipped == {"own": 1}
    assert fake.rule["State"] == "DISABLED"


# Through EventBridge


def test_the_rule_takes_the_events_of_buckets_that_do_not_send_directly(fake: FakeAws) -> None:
    fake.bucket("direct")
    fake.bucket("bridged", EventBridgeConfiguration={})
    fake.bucket("far", region="us-east-1")
    settings = stack("direct", "bridged/a/", "far")
    run(fake, CREATE, settings)
    assert fake.rule["State"] == "ENABLED"
    assert fake.rule["Description"] == "of the template"
    assert json.loads(fake.rule["EventPattern"])["detail"]["$or"] == [
        {"bucket": {"name": ["bridged"]}, "object": {"key": [{"prefix": "a/"}]}},
        {"bucket": {"name": ["far"]}},
    ]
    fake.calls.clear()
    run(fake, Sweep(), settings)
    assert fake.calls["PutRule"] == 0
    run(fake, UPDATE, stack("direct"))
    assert fake.rule["State"] == "DISABLED"


def test_a_rule_that_cannot_be_written_is_a_failure(fake: FakeAws) -> None:
    fake.bucket("bridged", EventBridgeConfiguration={})
    fake.before["PutRule"] = refuse("AccessDeniedException")
    report = run(fake, Sweep(), stack("bridged"))
    [failed] = report.buckets.failed
    assert (failed.bucket, failed.why) == ("(EventBridge rule)", "AccessDeniedException")
    assert ("LinkErrors", "Count", 1) in [*metrics(report)]
    assert not report.is_finished


# What others do at the same time


def test_a_change_between_the_read_and_the_write_is_kept(fake: FakeAws) -> None:
    fake.bucket("my-logs")

    def change(_: Any) -> None:
        # The run remembers the bucket after it has read the configuration.
        fake.notifications("my-logs")["LambdaFunctionConfigurations"] = [THEIRS]

    fake.before["PutObject"] = lambda asked: change(asked) if "links/" in asked["Key"] else None
    report = run(fake, Sweep(), stack("my-logs/web/"))
    assert fake.notifications("my-logs")["LambdaFunctionConfigurations"] == [THEIRS]
    assert sends(fake, "my-logs") == ["web/"]
    assert report.buckets.put == 1


def test_an_unknown_part_that_comes_between_the_read_and_the_write_is_kept(fake: FakeAws) -> None:
    fake.bucket("my-logs")

    def add(asked: dict[str, Any]) -> None:
        if "links/" in asked["Key"]:
            fake.notifications("my-logs")[UNKNOWN_ELEMENTS] = ["MqttConfiguration"]

    fake.before["PutObject"] = add
    report = run(fake, Sweep(), stack("my-logs"))
    assert fake.notifications("my-logs") == {UNKNOWN_ELEMENTS: ["MqttConfiguration"]}
    assert report.buckets.skipped == {"unknown_kind": 1}


def test_a_write_that_replaces_ours_is_followed_by_another_one(fake: FakeAws) -> None:
    fake.bucket("my-logs")
    began: list[float] = []

    def replace(_: Any) -> None:
        if not began:
            began.append(fake.time)
        elif fake.time > began[0] + 2 and len(began) == 1:
            began.append(fake.time)
            fake.buckets["my-logs"]["config"] = {"LambdaFunctionConfigurations": [THEIRS]}

    fake.before["GetBucketNotificationConfiguration"] = replace
    run(fake, Sweep(), stack("my-logs/web/"))
    assert len(began) == 2
    assert fake.notifications("my-logs")["LambdaFunctionConfigurations"] == [THEIRS]
    assert sends(fake, "my-logs") == ["web/"]


def test_a_bucket_that_others_change_all_the_time_is_left_to_the_next_run(fake: FakeAws) -> None:
    fake.bucket("my-logs")
    numbers = iter(range(1000))

    def change(_: Any) -> None:
        other = {**THEIRS, "Id": f"theirs-{next(numbers)}"}
        fake.notifications("my-logs")["LambdaFunctionConfigurations"] = [other]

    fake.before["GetBucketNotificationConfiguration"] = change
    report = run(fake, Sweep(), stack("my-logs/web/"))
    [failed] = report.buckets.failed
    assert failed.why == "NotInPlace"
    assert fake.calls["PutBucketNotificationConfiguration"] == 0


@pytest.mark.parametrize("after", [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.5, 2.0, 5.0])
def test_two_stacks_share_a_bucket(fake: FakeAws, after: float) -> None:
    fake.bucket("my-logs", LambdaFunctionConfigurations=[THEIRS])
    queue = LOG_FILES_QUEUE + "-2"
    one = stack("my-logs/a/")
    two = stack("my-logs/b/", bucket=None, filter_name=f"{NAME}-2", log_files_queue=queue)
    Simultaneous(fake).run(
        (0, lambda: run(fake, Sweep(), one)), (after, lambda: run(fake, Sweep(), two))
    )
    assert (sends(fake, "my-logs"), sends(fake, "my-logs", queue)) == (["a/"], ["b/"])
    assert fake.notifications("my-logs")["LambdaFunctionConfigurations"] == [THEIRS]
    run(fake, DELETE, one)
    assert (sends(fake, "my-logs"), sends(fake, "my-logs", queue)) == ([], ["b/"])


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.5, 2.0, 4.0, 9.0, 30.0])
def test_a_sweep_beside_the_deletion_leaves_nothing_of_ours(fake: FakeAws, after: float) -> None:
    names = [f"logs-{number}" for number in range(300)]
    for name in names:
        fake.bucket(name)
    settings = stack(*names)
    Simultaneous(fake).run(
        (0, lambda: run(fake, Sweep(), settings)), (after, lambda: run(fake, DELETE, settings))
    )
    assert [name for name in fake.buckets if fake.notifications(name)] == []


def test_two_hundred_buckets_take_a_run_less_than_a_minute(
    fake: FakeAws, record_property: Callable[[str, object], None]
) -> None:
    for number in range(200):
        fake.bucket(f"logs-{number}")
    began = fake.time
    report = run(fake, Sweep(), stack(*(f"logs-{number}" for number in range(200))))
    assert report.buckets.put == 200
    seconds = fake.time - began
    record_property("200 buckets", {"seconds": seconds, "calls": sum(fake.calls.values())})
    assert seconds < 60


# Faults


def refuse(code: str, status: int = 400) -> Callable[[Any], None]:
    def refuse(_: Any) -> None:
        raise error(code, "", status)

    return refuse


def test_a_destination_of_others_that_is_gone_is_no_obstacle(fake: FakeAws) -> None:
    fake.bucket("my-logs", LambdaFunctionConfigurations=[{**THEIRS, "Id": "gone"}])
    run(fake, Sweep(), stack("my-logs/web/"))
    assert sends(fake, "my-logs") == ["web/"]


def test_a_failure_of_one_bucket_is_reported_and_does_not_stop_the_run(fake: FakeAws) -> None:
    fake.bucket("a")
    fake.bucket("b")
    fake.group("/aws/lambda/a")

    def refuse_first(asked: dict[str, Any]) -> None:
        if asked["Bucket"] == "a":
            raise error("InvalidArgument", "Configurations overlap.")

    fake.before["PutBucketNotificationConfiguration"] = refuse_first
    report = run(fake, Sweep(), stack("a", "b"))
    [failed] = report.buckets.failed
    assert (failed.bucket, failed.why, failed.step) == ("a", "InvalidArgument", "link")
    assert sends(fake, "b") == [""]
    assert fake.linked == {"/aws/lambda/a": ""}
    assert not report.is_finished


def test_a_write_beside_another_one_is_tried_again(fake: FakeAws) -> None:
    fake.bucket("a")
    clashes = iter([error("OperationAborted", "A conflicting operation is in progress.", 409)])

    def clash(_: Any) -> None:
        if (clashing := next(clashes, None)) is not None:
            raise clashing

    fake.before["PutBucketNotificationConfiguration"] = clash
    assert run(fake, Sweep(), stack("a")).buckets.put == 1
    assert sends(fake, "a") == [""]


def test_expired_credentials_end_the_run(fake: FakeAws) -> None:
    fake.bucket("a")
    fake.before["GetBucketLocation"] = refuse("ExpiredToken")
    with pytest.raises(AwsError, match="ExpiredToken"):
        run(fake, Sweep(), stack("a"))


def test_a_run_that_dies_after_the_write_leaves_a_trace(fake: FakeAws) -> None:
    fake.bucket("my-logs")

    def die(_: Any) -> None:
        raise KeyboardInterrupt

    fake.before["DescribeRule"] = die
    with pytest.raises(KeyboardInterrupt):
        run(fake, Sweep(), stack("my-logs"))
    del fake.before["DescribeRule"]
    assert sends(fake, "my-logs") == [""]
    run(fake, Sweep(), stack())
    assert fake.notifications("my-logs") == {}


# The tag index


def test_the_tag_index_has_listed_buckets_load_balancers_and_distributions(fake: FakeAws) -> None:
    balancer = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/app/shop/50dc6c49"
    fake.resources = {
        "arn:aws:s3:::my-logs": {"team": "a"},
        "arn:aws:s3:::not-listed": {"team": "b"},
        balancer: {"team": "c"},
        f"arn:aws:cloudfront::{ACCOUNT}:distribution/E1": {"team": "d"},
    }
    fake.bucket("my-logs")
    fake.group("/aws/lambda/a", team="e")
    run(fake, Sweep(), stack("my-logs"))
    body, _ = fake.objects[index_key(ACCOUNT, REGION)]
    index = decode_index(body)
    assert index is not None
    assert {name: each.tags["team"] for name, each in index.groups.items()} == {
        "s3://my-logs": "a",
        "loadbalancer/app/shop/50dc6c49": "c",
        "distribution/E1": "d",
        "/aws/lambda/a": "e",
    }


def test_without_log_buckets_only_tags_of_log_groups_are_read(fake: FakeAws) -> None:
    fake.resources = {"arn:aws:s3:::my-logs": {"team": "a"}}
    asked: list[Any] = []
    fake.before["GetResources"] = lambda each: asked.append(each["ResourceTypeFilters"])
    run(fake, Sweep(), stack())
    assert asked == [["logs", "lambda:function"]]
