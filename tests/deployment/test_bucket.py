"""The bucket of uploads is made where it is missing, closed, and never somebody else's."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from loki_shipper.deployment.bucket import (
    ArtifactsBucket,
    ArtifactsBucketError,
    artifacts_bucket,
    bucket_exists,
    is_uploaded,
    make_bucket,
    s3_uri,
    s3_url,
    upload,
)
from loki_shipper.local.aws import ACCOUNT, LocalAws

BUCKET = ArtifactsBucket(artifacts_bucket(ACCOUNT, "eu-west-1"), ACCOUNT, "eu-west-1")


def test_a_bucket_is_made_once_and_closed(aws: LocalAws) -> None:
    s3 = aws.client("s3")
    assert not bucket_exists(s3, BUCKET)
    make_bucket(s3, BUCKET)
    make_bucket(s3, BUCKET)
    assert bucket_exists(s3, BUCKET)
    block = s3.get_public_access_block(Bucket=BUCKET.name)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    where = s3.get_bucket_location(Bucket=BUCKET.name)["LocationConstraint"]
    assert where == "eu-west-1"


def test_an_upload_is_found_by_name(aws: LocalAws, tmp_path: Path) -> None:
    s3 = aws.client("s3")
    make_bucket(s3, BUCKET)
    assert not is_uploaded(s3, BUCKET, "one.zip")
    (tmp_path / "one.zip").write_bytes(b"zip")
    upload(s3, BUCKET, "one.zip", tmp_path / "one.zip")
    upload(s3, BUCKET, "two.json", b"{}")
    assert is_uploaded(s3, BUCKET, "one.zip")
    held = s3.get_object(Bucket=BUCKET.name, Key="loki-shipper/one.zip")["Body"].read()
    assert held == b"zip"
    assert s3_uri(BUCKET, "one.zip") == f"s3://{BUCKET.name}/loki-shipper/one.zip"
    assert s3_url(s3, BUCKET, "one.zip") == f"{aws.url}/{BUCKET.name}/loki-shipper/one.zip"


class DistantBucket:
    """An S3 in which the bucket is in another Region."""

    def head_bucket(self, **_: str) -> dict[str, str]:
        return {"BucketRegion": "us-west-2"}


def test_a_bucket_in_another_region_is_not_used() -> None:
    with pytest.raises(
        ArtifactsBucketError, match="is in us-west-2, and Lambda needs one in eu-west-1"
    ):
        bucket_exists(DistantBucket(), BUCKET)


class ForeignBucket:
    """An S3 in which the bucket is another account's."""

    def head_bucket(self, **_: str) -> None:
        raise ClientError({"Error": {"Code": "403"}}, "HeadBucket")


def test_a_bucket_of_another_account_is_not_used() -> None:
    with pytest.raises(ArtifactsBucketError, match=r"another account.*--bucket"):
        bucket_exists(ForeignBucket(), BUCKET)
