"""The bucket that deployments are uploaded to: one for each account and Region, or one of yours."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError
from msgspec import Struct

PREFIX: Final = "loki-shipper/"
"""What every key of ours begins with."""

_GONE = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}
_DENIED = {"403", "AccessDenied"}


class ArtifactsBucketError(Exception):
    """Raised when a bucket cannot be used; the message says why and what to do."""


class ArtifactsBucket(Struct, frozen=True):
    """A bucket of an account in a Region."""

    bucket: str
    account: str
    region: str


def artifacts_bucket(account: str, region: str) -> str:
    """Name the bucket that we make for uploads where none is named."""
    return f"loki-shipper-artifacts-{account}-{region}"


def bucket_exists(s3: Any, place: ArtifactsBucket) -> bool:
    """Tell whether the bucket is there. Raises BucketError where it is not this account's."""
    try:
        found = s3.head_bucket(Bucket=place.bucket, ExpectedBucketOwner=place.account)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _GONE:
            return False
        if code in _DENIED:
            raise ArtifactsBucketError(
                f"the bucket {place.bucket} belongs to another account, or you may not look at it: "
                "name one of yours with --bucket"
            ) from None
        raise
    if (region := found.get("BucketRegion", place.region)) != place.region:
        raise ArtifactsBucketError(
            f"the bucket {place.bucket} is in {region}, and Lambda asks for one in {place.region}: "
            "name another one with --bucket"
        )
    return True


def make_bucket(s3: Any, place: ArtifactsBucket) -> None:
    """Make the bucket, closed to the public. It may have been made meanwhile."""
    # This Region is the one that takes no constraint.
    where = (
        {}
        if place.region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": place.region}}
    )
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=place.bucket, **where)
    s3.put_public_access_block(
        Bucket=place.bucket,
        ExpectedBucketOwner=place.account,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    )


def is_uploaded(s3: Any, place: ArtifactsBucket, name: str) -> bool:
    """Tell whether an upload of this name is in the bucket."""
    try:
        s3.head_object(Bucket=place.bucket, Key=PREFIX + name, ExpectedBucketOwner=place.account)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return False
        raise
    return True


def upload(s3: Any, place: ArtifactsBucket, name: str, content: Path | bytes) -> None:
    """Upload a file, or bytes, under this name."""
    body = content if isinstance(content, bytes) else content.read_bytes()
    s3.put_object(
        Bucket=place.bucket, Key=PREFIX + name, Body=body, ExpectedBucketOwner=place.account
    )


def s3_uri(place: ArtifactsBucket, name: str) -> str:
    """Name an upload as SAM's templates do."""
    return f"s3://{place.bucket}/{PREFIX}{name}"


def s3_url(s3: Any, place: ArtifactsBucket, name: str) -> str:
    """Name an upload as CloudFormation's API does."""
    return f"{s3.meta.endpoint_url}/{place.bucket}/{PREFIX}{name}"
