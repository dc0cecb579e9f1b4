"""Log files in a bucket go to Loki, with all parts of the stack: S3, SQS, Lambda, EventBridge."""

import gzip
import time
import uuid
from functools import partial
from typing import Any, Final

import pytest

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack, awaited
from tests.loki.asking import held
from tools.artifact import SamArtifact

REGION: Final = "ap-southeast-2"
THEIRS: Final = "arn:aws:sns:ap-southeast-2:000000000000:theirs"


@pytest.fixture(scope="module")
def buckets() -> dict[str, str]:
    return {name: f"{name}-{uuid.uuid4().hex[:12]}" for name in ("direct", "bridged")}


@pytest.fixture(scope="module")
def tenant() -> str:
    return f"log-files-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def stack(
    cloud: Cloud, built: SamArtifact, loki: Loki | Running, tenant: str, buckets: dict[str, str]
) -> Stack:
    stack = Stack(cloud, "log-files", REGION)
    s3 = stack.client("s3")
    for name in buckets.values():
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    tags = {"TagSet": [{"Key": "team", "Value": "search"}]}
    s3.put_bucket_tagging(Bucket=buckets["direct"], Tagging=tags)
    topic = stack.client("sns").create_topic(Name="theirs")["TopicArn"]
    configure(
        stack,
        buckets["direct"],
        TopicConfigurations=[{"Id": "theirs", "TopicArn": topic, "Events": ["s3:ObjectRemoved:*"]}],
    )
    configure(stack, buckets["bridged"], EventBridgeConfiguration={})
    put(stack, buckets["direct"], "web/before.log.gz", "third", "fourth")
    stack.deploy(
        built.folder,
        Architecture=built.architecture,
        LokiUrl=loki.url,
        LokiTenant=tenant,
        LogBuckets=f"{buckets['direct']}/web/=text,{buckets['bridged']}",
        RedriveSchedule="off",
    )
    return stack


def configure(stack: Stack, bucket: str, **config: Any) -> None:
    stack.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=config, SkipDestinationValidation=True
    )


def notifications(stack: Stack, bucket: str) -> dict[str, list[str]]:
    """The Ids of the entries in a bucket's configuration, by their kind."""
    found = stack.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    return {
        kind: [each["Id"] for each in entries]
        for kind, entries in found.items()
        if isinstance(entries, list)
    }


def put(stack: Stack, bucket: str, key: str, *lines: str) -> None:
    body = gzip.compress("".join(f"{line}\n" for line in lines).encode())
    stack.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def test_a_file_goes_to_loki_with_the_tags_of_its_bucket(
    stack: Stack, loki: Loki | Running, tenant: str, buckets: dict[str, str]
) -> None:
    assert notifications(stack, buckets["direct"]) == {
        "TopicConfigurations": ["theirs"],
        "QueueConfigurations": ["log-files-log-files-1"],
    }
    assert "sends its notifications to the queue" in stack.command("doctor")
    put(stack, buckets["direct"], "elsewhere/a.log.gz", "not below the prefix")
    put(stack, buckets["direct"], "web/a b=1.log.gz", "first", "second")
    lines = awaited(partial(held, loki, tenant, '{source="s3"}'))
    assert [each.line for each in lines] == ["first", "second"]
    labels = lines[0].labels
    assert (labels["bucket"], labels["log_type"]) == (buckets["direct"], "text")
    assert labels["team"] == "search"


def test_a_file_from_before_is_shipped_by_backfill_once(
    stack: Stack, loki: Loki | Running, tenant: str, buckets: dict[str, str]
) -> None:
    words = ("backfill", f"s3://{buckets['direct']}/web/before", "--since", "1h")
    for _ in range(2):
        assert "1 log file is in the queue or shipped" in stack.command(*words)
    selector = f'{{bucket="{buckets["direct"]}"}} | log_stream="web/before.log.gz"'
    lines = awaited(partial(held, loki, tenant, selector))
    assert [each.line for each in lines] == ["third", "fourth"]


def test_a_file_of_a_bucket_that_sends_to_event_bridge_goes_to_loki(
    stack: Stack, loki: Loki | Running, tenant: str, buckets: dict[str, str]
) -> None:
    assert notifications(stack, buckets["bridged"]) == {}
    line = f"{time.time_ns()} through EventBridge"
    put(stack, buckets["bridged"], "b.log", line)
    selector = f'{{bucket="{buckets["bridged"]}"}}'
    assert [each.line for each in awaited(partial(held, loki, tenant, selector))] == [line]


def test_plan_says_that_nothing_is_to_be_done(stack: Stack) -> None:
    assert "2 buckets: 1 linked already, 1 through EventBridge\n" in stack.command("plan")


def test_ours_is_taken_out_when_the_setting_is_emptied_and_put_again_and_deleted(
    stack: Stack, built: SamArtifact, buckets: dict[str, str]
) -> None:
    mine = buckets["direct"]
    stack.deploy(built.folder, LogBuckets='""')
    assert notifications(stack, mine) == {"TopicConfigurations": ["theirs"]}
    stack.deploy(built.folder, LogBuckets=mine)
    assert notifications(stack, mine).keys() == {"TopicConfigurations", "QueueConfigurations"}
    stack.delete()
    assert notifications(stack, mine) == {"TopicConfigurations": ["theirs"]}
