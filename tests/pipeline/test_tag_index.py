"""The tag index in a bucket, on S3's own protocol: a missing index does not mean "no tags"."""

import uuid

import boto3
import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.shipper.aws import IndexReader
from loki_shipper.shipper.labels.tag_index import Tagged, TagIndex, encode_index, index_key
from loki_shipper.shipper.labels.tags import IndexUnchanged

ACCOUNT = "123456789012"
INDEX = TagIndex({"/a": Tagged(1, {"team": "a"})}, 1)


@pytest.fixture
def bucket(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    name = f"bucket-{uuid.uuid4().hex}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    return name


def put(aws: LocalAws, bucket: str, body: bytes) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key=index_key(ACCOUNT, aws.region), Body=body)


def test_an_index_is_sent_once_while_it_has_not_changed(aws: LocalAws, bucket: str) -> None:
    put(aws, bucket, encode_index(INDEX))
    read = IndexReader(bucket)
    assert [read(ACCOUNT, aws.region), read(ACCOUNT, aws.region)] == [INDEX, IndexUnchanged()]


def test_a_missing_index_is_read_again_later(aws: LocalAws, bucket: str) -> None:
    read = IndexReader(bucket)
    assert read(ACCOUNT, aws.region) == IndexUnchanged()
    put(aws, bucket, encode_index(INDEX))
    assert read(ACCOUNT, aws.region) == INDEX


def test_a_missing_bucket_is_not_an_empty_index(aws: LocalAws, bucket: str) -> None:
    assert IndexReader(f"{bucket}x")(ACCOUNT, aws.region) == IndexUnchanged()


def test_an_index_that_is_broken_is_read_again(aws: LocalAws, bucket: str) -> None:
    put(aws, bucket, b"no index")
    read = IndexReader(bucket)
    assert read(ACCOUNT, aws.region) == IndexUnchanged()
    put(aws, bucket, encode_index(INDEX))
    assert read(ACCOUNT, aws.region) == INDEX


def test_without_a_bucket_there_is_no_index() -> None:
    assert IndexReader(None)(ACCOUNT, "eu-central-1") is None
