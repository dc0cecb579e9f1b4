"""The bucket on S3's own protocol: pages, conditions, and errors that say what to do."""

import uuid
from collections.abc import Callable

import boto3
import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.redriver.bucket import Bucket, BucketError, Read, waiting
from loki_shipper.redriver.s3 import s3

type Put = Callable[[str, bytes], None]


@pytest.fixture(autouse=True)
def here(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()


@pytest.fixture
def name(aws: LocalAws) -> str:
    name = f"bucket-{uuid.uuid4().hex}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    return name


@pytest.fixture
def bucket(name: str) -> Bucket:
    return s3(name)


@pytest.fixture
def put(aws: LocalAws, name: str) -> Put:
    def put(key: str, body: bytes) -> None:
        aws.client("s3").put_object(Bucket=name, Key=key, Body=body)

    return put


def keys(bucket: Bucket, prefix: str = "") -> list[str]:
    return [each.key for each in bucket.objects(prefix)]


def test_lists_more_than_a_page_in_order(bucket: Bucket, put: Put) -> None:
    expected = [f"failed/2026/11/20/{n:04}" for n in range(1_050)]
    for key in expected:
        put(key, b"")
    assert keys(bucket, "failed/") == expected


def test_finds_lambdas_folders(bucket: Bucket, put: Put) -> None:
    put("aws/lambda/async/b/2026/11/20/x", b"")
    put("aws/lambda/async/a/2026/11/20/y", b"")
    put("aws/lambda/sync/c/2026/11/20/z", b"")
    assert bucket.folders("aws/lambda/async/") == ["aws/lambda/async/a/", "aws/lambda/async/b/"]
    assert [each.key[17:18] for each in waiting(bucket)] == ["b", "a"]


def test_nothing_waits_in_an_empty_bucket(bucket: Bucket) -> None:
    assert list(waiting(bucket)) == []


def test_a_listed_object_has_its_size_and_its_time(bucket: Bucket, put: Put) -> None:
    put("failed/a", b"12345")
    [stored] = bucket.objects("failed/")
    assert (stored.size, stored.written.tzinfo is not None) == (5, True)


def test_reads_what_is_there(bucket: Bucket, put: Put) -> None:
    put("failed/a", b"body")
    [stored] = bucket.objects("")
    assert bucket.read("failed/a") == Read(b"body", stored.etag)
    assert bucket.read("failed/b") is None


def test_deletes_what_was_read_and_nothing_else(bucket: Bucket, put: Put) -> None:
    put("failed/a", b"old")
    read = bucket.read("failed/a")
    assert read is not None
    put("failed/a", b"new")
    assert not bucket.delete("failed/a", read.etag)
    assert keys(bucket) == ["failed/a"]
    again = bucket.read("failed/a")
    assert again is not None
    assert bucket.delete("failed/a", again.etag)
    assert keys(bucket) == []


def test_deleting_what_is_gone_is_no_error(bucket: Bucket) -> None:
    bucket.delete("failed/a", '"d41d8cd98f00b204e9800998ecf8427e"')


def test_moves_what_was_read_with_the_reason(
    bucket: Bucket, put: Put, aws: LocalAws, name: str
) -> None:
    put("failed/a", b"body")
    [stored] = bucket.objects("")
    assert bucket.move("failed/a", stored.etag, "rejected/a", "no_record")
    assert keys(bucket) == ["rejected/a"]
    got = aws.client("s3").get_object(Bucket=name, Key="rejected/a")
    assert (got["Body"].read(), got["Metadata"]) == (b"body", {"reason": "no_record"})


def test_what_has_changed_or_gone_stays_where_it_is(bucket: Bucket, put: Put) -> None:
    put("failed/a", b"old")
    [stored] = bucket.objects("")
    put("failed/a", b"new")
    assert not bucket.move("failed/a", stored.etag, "rejected/a", "no_record")
    assert not bucket.move("failed/b", stored.etag, "rejected/b", "no_record")
    assert keys(bucket, "failed/") == ["failed/a"]


@pytest.mark.parametrize(
    ("act", "done"),
    [
        (lambda bucket: bucket.folders("x"), "listed"),
        (lambda bucket: list(bucket.objects("x")), "listed"),
        (lambda bucket: bucket.read("x"), "read"),
        (lambda bucket: bucket.delete("x", "etag"), "changed"),
        (lambda bucket: bucket.move("x", "etag", "y", "reason"), "changed"),
    ],
    ids=["folders", "objects", "read", "delete", "move"],
)
def test_says_what_cannot_be_done_to_a_bucket_that_is_not_there(
    act: Callable[[Bucket], object], done: str
) -> None:
    with pytest.raises(BucketError, match=f"^the bucket cannot be {done}: NoSuchBucket$"):
        act(s3("nobody-has-this-bucket"))


def test_says_so_when_s3_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(
        BucketError, match=r"^the bucket cannot be listed: EndpointConnectionError$"
    ):
        list(s3("bucket").objects(""))
