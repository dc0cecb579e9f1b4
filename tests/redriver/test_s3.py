"""The bucket on S3's own protocol: pages, conditions, and errors that say what to do."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import repeat

import boto3
import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.redriver.bucket import EVERYTHING, Bucket, BucketError, Fault, waiting
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


def keys(bucket: Bucket, prefix: str = "", after: str = "") -> list[str]:
    return [each.key for each in bucket.objects(prefix, after)]


def test_lists_more_than_a_page_in_order_and_from_behind_a_key(bucket: Bucket, put: Put) -> None:
    expected = [f"failed/2026/11/20/{n:04}" for n in range(1_050)]
    with ThreadPoolExecutor(8) as pool:
        [*pool.map(put, expected, repeat(b""))]
    assert keys(bucket, "failed/") == expected
    assert keys(bucket, "failed/", expected[1_004]) == expected[1_005:]


def test_nothing_waits_in_an_empty_bucket(bucket: Bucket) -> None:
    assert list(waiting(bucket, datetime.now(UTC), share=EVERYTHING)) == []


def test_a_listed_object_has_its_size_and_its_time(bucket: Bucket, put: Put) -> None:
    put("failed/a", b"12345")
    [stored] = bucket.objects("failed/", "")
    assert (stored.size, stored.written.tzinfo is not None) == (5, True)


def test_reads_what_is_there_in_the_order_asked_for(bucket: Bucket, put: Put) -> None:
    for n in range(40):
        put(f"failed/{n:02}", str(n).encode())
    asked = [f"failed/{n:02}" for n in range(39, -1, -1)]
    assert bucket.read([*asked, "failed/x"]) == [
        *(str(n).encode() for n in range(39, -1, -1)),
        None,
    ]
    assert bucket.read([]) == []


def test_deletes_more_than_one_call_takes_and_what_is_gone(bucket: Bucket, put: Put) -> None:
    put("failed/a", b"")
    put("failed/b", b"")
    assert bucket.delete([f"failed/{n}" for n in range(1_000)] + ["failed/a"]) == {}
    assert keys(bucket) == ["failed/b"]
    assert bucket.delete([]) == {}


def test_moves_an_object_with_the_reason(
    bucket: Bucket, put: Put, aws: LocalAws, name: str
) -> None:
    put("failed/a", b"body")
    assert bucket.move("failed/a", "rejected/a", "no_record") is None
    assert keys(bucket) == ["rejected/a"]
    got = aws.client("s3").get_object(Bucket=name, Key="rejected/a")
    assert (got["Body"].read(), got["Metadata"]) == (b"body", {"reason": "no_record"})


def test_moving_what_is_gone_is_no_fault(bucket: Bucket) -> None:
    assert bucket.move("failed/b", "rejected/b", "no_record") is None
    assert keys(bucket) == []


def test_says_what_cannot_be_done_to_a_bucket_that_is_not_there() -> None:
    nobodys = s3("nobody-has-this-bucket")
    with pytest.raises(BucketError, match=r"^the bucket cannot be listed: NoSuchBucket$"):
        keys(nobodys, "x")
    fault = Fault("NoSuchBucket")
    assert nobodys.read(["a", "b"]) == [fault, fault]
    assert nobodys.delete(["a", "b"]) == {"a": fault, "b": fault}
    assert nobodys.move("a", "b", "reason") == fault
