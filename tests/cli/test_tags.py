"""`loki-shipper tags sync` writes the index from which the shipper takes its labels."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from click.testing import Result

from loki_shipper.local.aws import ACCOUNT, LocalAws
from loki_shipper.shipper.labels.tag_index import (
    Tagged,
    TagIndex,
    decode_index,
    encode_index,
    index_key,
)

type Run = Callable[..., Result]


@pytest.fixture
def bucket(aws: LocalAws) -> str:
    name = f"bucket-{uuid4().hex}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    return name


def shipper(aws: LocalAws, **environ: str) -> str:
    arn = aws.create_function(f"shipper-{uuid4().hex}", lambda _event: None)
    aws.client("lambda").update_function_configuration(
        FunctionName=arn, Environment={"Variables": {"LOKI_URL": "http://loki:3100"} | environ}
    )
    return arn


def written(aws: LocalAws, bucket: str) -> TagIndex:
    got = aws.client("s3").get_object(Bucket=bucket, Key=index_key(ACCOUNT, aws.region))
    index = decode_index(got["Body"].read())
    assert index is not None
    return index


def test_every_log_group_is_in_the_index_with_its_tags(
    run: Run, aws: LocalAws, bucket: str
) -> None:
    tagged, plain = f"/ecs/tagged-{uuid4().hex}", f"/ecs/plain-{uuid4().hex}"
    aws.create_log_group(tagged, {"team": "payments"})
    aws.create_log_group(plain, {})
    result = run("tags", "sync", "--function", shipper(aws, BUCKET=bucket), **aws.environ)
    assert result.exit_code == 0, result.stderr
    groups = written(aws, bucket).groups
    assert groups[tagged].tags == {"team": "payments"}
    assert groups[plain].tags == {}


def test_newer_tags_of_another_writer_stay(run: Run, aws: LocalAws, bucket: str) -> None:
    later = TagIndex({"/ecs/later": Tagged(2**42, {"team": "search"})})
    aws.client("s3").put_object(
        Bucket=bucket, Key=index_key(ACCOUNT, aws.region), Body=encode_index(later)
    )
    run("tags", "sync", "--function", shipper(aws, BUCKET=bucket), **aws.environ)
    assert written(aws, bucket).groups["/ecs/later"].tags == {"team": "search"}


def test_a_dry_run_writes_nothing(run: Run, aws: LocalAws, bucket: str) -> None:
    result = run(
        "tags", "sync", "--dry-run", "--function", shipper(aws, BUCKET=bucket), **aws.environ
    )
    assert result.stdout.endswith("would be written\n")
    assert "Contents" not in aws.client("s3").list_objects_v2(Bucket=bucket)


def test_a_function_without_a_bucket_is_reported(run: Run, aws: LocalAws) -> None:
    result = run("tags", "sync", "--function", shipper(aws), **aws.environ)
    assert result.exit_code == 2
    assert "has no BUCKET" in result.stderr
