"""`plan`, `link` and `unlink` show and change buckets with log files."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from loki_shipper.local.aws import ACCOUNT, LocalAws
from loki_shipper.subscriber.buckets.plan import BucketReason
from tests.local_deployment import REGION, Deployment, deployed
from tests.moto_gaps import event_bridge_of_buckets

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:log-files"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:theirs"
NAMES = ("bridged", "far", "my-logs", "taken")


@pytest.fixture
def here() -> Iterator[Deployment]:
    with event_bridge_of_buckets(), deployed() as here:
        here.aws.client("sqs").create_queue(QueueName="log-files")
        s3 = here.aws.client("s3")
        for name in NAMES:
            region = "eu-north-1" if name == "far" else REGION
            where: Any = {"LocationConstraint": region}
            in_region = LocalAws(here.aws.url, region).client("s3")
            in_region.create_bucket(Bucket=name, CreateBucketConfiguration=where)
        configure(here, "bridged", EventBridgeConfiguration={})
        entry = {"Id": "t", "LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectCreated:*"]}
        configure(here, "taken", LambdaFunctionConfigurations=[entry])
        here.make_stack(
            LOG_BUCKETS="my-logs/AWSLogs/=alb,my-logs/web/,bridged,taken,far,no-such-bucket",
            LOG_FILES_QUEUE=QUEUE,
        )
        here.group("/aws/lambda/f")
        yield here
        # Buckets are of the whole process.
        for name in NAMES:
            s3.delete_bucket(Bucket=name)


def configure(here: Deployment, bucket: str, **config: Any) -> None:
    here.aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration=config, SkipDestinationValidation=True
    )


def sends(here: Deployment, bucket: str) -> list[str]:
    config = here.aws.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    entries = config.get("QueueConfigurations", [])
    return [each["Filter"]["Key"]["FilterRules"][0]["Value"] for each in entries]


def test_plan_says_of_each_bucket_what_would_be_done(here: Deployment) -> None:
    result = here.run("plan", COLUMNS="300")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("cannot  s3://far  S3 sends only to a queue in the bucket's Region")
    assert lines[0].endswith("docs/log-files.md): it is in eu-north-1")
    assert lines[-1] == (
        "5 buckets: 1 to link, 1 in another Region, 1 that do not exist, 1 through EventBridge, "
        "1 with another destination"
    )
    assert lines[1:-1] == [
        "link    s3://my-logs  new, below AWSLogs/, web/",
        "cannot  s3://no-such-bucket  there is no such bucket",
        f"cannot  s3://taken  {BucketReason.OVERLAP.words}: t to {FUNCTION}",
        "link    /aws/lambda/f  new",
        "1 log group: 1 to link",
    ]
    assert sends(here, "my-logs") == []


def test_json_has_buckets_beside_log_groups(here: Deployment) -> None:
    rows = {each["log_group"]: each for each in json.loads(here.run("plan", "--json").stdout)}
    mine = rows["s3://my-logs"]
    assert (mine["action"], mine["reason"]) == ("link", "new")
    assert mine["prefixes"] == ["AWSLogs/", "web/"]
    assert {name: (each["action"], each["reason"]) for name, each in rows.items()} == {
        "/aws/lambda/f": ("link", "new"),
        "s3://my-logs": ("link", "new"),
        "s3://bridged": ("none", "event_bridge"),
        "s3://taken": ("cannot", "overlap"),
        "s3://far": ("cannot", "other_region"),
        "s3://no-such-bucket": ("cannot", "gone"),
    }


def test_link_all_links_buckets_and_unlink_all_unlinks_them(here: Deployment) -> None:
    result = here.run("link", "--all")
    assert result.exit_code == 0
    assert "5 buckets: 1 linked, 1 in another Region" in result.stdout
    assert sends(here, "my-logs") == ["AWSLogs/", "web/"]
    result = here.run("unlink", "--all", "--yes")
    assert result.exit_code == 0
    assert "unlink  s3://my-logs  everything is unlinked" in result.stdout
    assert sends(here, "my-logs") == []


def test_one_bucket_is_unlinked_until_link_names_it(here: Deployment) -> None:
    here.run("link", "--all")
    result = here.run("unlink", "s3://my-logs/", "/aws/lambda/f")
    assert result.exit_code == 0
    assert "unlink  s3://my-logs  unlinked by hand" in result.stdout
    assert (sends(here, "my-logs"), here.linked) == ([], set())
    here.run("link", "--all")
    assert sends(here, "my-logs") == []
    assert here.run("link", "s3://my-logs").exit_code == 0
    assert sends(here, "my-logs") == ["AWSLogs/", "web/"]


def test_no_log_group_is_counted_if_you_name_only_a_bucket(here: Deployment) -> None:
    for words in (["link", "s3://my-logs"], ["unlink", "s3://my-logs", "--dry-run"]):
        shown = here.run(*words).stdout
        assert "buckets: " in shown
        assert "log group" not in shown


def test_one_log_group_leaves_buckets_alone(here: Deployment) -> None:
    result = here.run("link", "/aws/lambda/f")
    assert "bucket" not in result.stdout
    assert sends(here, "my-logs") == []


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("s3://other", "LogBuckets does not name other: add it there, and deploy"),
        ("s3://my-logs/web/", "s3://my-logs/web is a part of a bucket: name all of it"),
    ],
)
def test_only_buckets_of_the_setting_are_linked(here: Deployment, word: str, said: str) -> None:
    for command in ("link", "unlink"):
        result = here.run(command, word)
        assert (result.exit_code, said in result.stderr) == (2, True)


def test_a_bucket_that_fails_gives_a_failure(here: Deployment) -> None:
    here.make_stack_again(LOG_BUCKETS="my-logs", LOG_FILES_QUEUE="arn:aws:sqs:us-east-1:1:other")
    result = here.run("link", "--all")
    assert result.exit_code == 1
    assert "failed  s3://my-logs  InvalidArgument" in result.stdout
    assert "1 bucket failed: remove the cause that stands beside each" in result.stderr
