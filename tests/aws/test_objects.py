"""Conditional reads and writes of objects, over HTTP and with boto3, on S3's own protocol."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import pytest

from loki_shipper.aws.boto import Bounds, get_object, make_client, put_object
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.http import AwsHttp
from loki_shipper.aws.objects import (
    ObjectConflict,
    ObjectFound,
    ObjectMissing,
    ObjectUnchanged,
    ObjectWritten,
    read_object,
    write_object,
)
from loki_shipper.local.aws import LocalAws

type GetObject = Callable[..., ObjectFound]

BOUNDS = Bounds(connect=1, read=5, attempts=1)


@pytest.fixture(autouse=True)
def here(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()


@pytest.fixture
def s3() -> Any:
    return make_client("s3", BOUNDS)


@pytest.fixture
def bucket(aws: LocalAws, s3: Any) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region})
    return name


@pytest.fixture(params=["http", "boto3"])
def get(request: pytest.FixtureRequest, s3: Any) -> GetObject:
    return AwsHttp(None, BOUNDS).get_object if request.param == "http" else partial(get_object, s3)


def test_a_read_gives_the_object_once_until_it_changes(
    s3: Any, bucket: str, get: GetObject
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"one")
    found = read_object(lambda: get(bucket, "k"))
    assert isinstance(found, ObjectFound)
    assert found.body == b"one"
    assert read_object(lambda: get(bucket, "k", found.etag)) == ObjectUnchanged()
    s3.put_object(Bucket=bucket, Key="k", Body=b"two")
    changed = read_object(lambda: get(bucket, "k", found.etag))
    assert isinstance(changed, ObjectFound)
    assert changed.body == b"two"


def test_a_missing_object_is_an_answer_and_a_missing_bucket_an_error(
    bucket: str, get: GetObject
) -> None:
    assert read_object(lambda: get(bucket, "none")) == ObjectMissing()
    with pytest.raises(AwsError) as refused:
        read_object(lambda: get(f"{bucket}x", "none"))
    assert (refused.value.kind, refused.value.code) == ("refused", "NoSuchBucket")


def test_a_denied_read_does_not_say_that_the_object_is_missing() -> None:
    def denied() -> ObjectFound:
        raise AwsError("denied", "AccessDenied")

    with pytest.raises(AwsError):
        read_object(denied)


def test_a_write_replaces_only_the_object_that_was_read(s3: Any, bucket: str) -> None:
    def write(body: bytes, etag: str | None) -> object:
        return write_object(partial(put_object, s3, bucket, "k", body, etag))

    assert write(b"one", None) == ObjectWritten()
    assert write(b"two", None) == ObjectConflict()
    found = get_object(s3, bucket, "k")
    assert write(b"two", found.etag) == ObjectWritten()
    assert write(b"three", found.etag) == ObjectConflict()
    assert get_object(s3, bucket, "k").body == b"two"


def test_a_write_that_fails_is_an_error(s3: Any, bucket: str) -> None:
    with pytest.raises(AwsError, match="bucket"):
        write_object(partial(put_object, s3, f"{bucket}x", "k", b"", None))
