"""Uploads to the bucket of deployments: one for each account and Region, or the user's own."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError
from msgspec import Struct

PREFIX: Final = "loki-shipper/"
"""Start of every key."""

_MISSING = {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}
_DENIED = {"403", "AccessDenied"}


class ArtifactsBucketError(Exception):
    """Raised when a bucket cannot be used; the message gives the reason and advice."""


class ArtifactsBucket(Struct, frozen=True):
    """A bucket of an account in a Region."""

    name: str
    account: str
    region: str


def artifacts_bucket(account: str, region: str) -> str:
    """Return the name of the bucket that `deploy` makes by default."""
    return f"loki-shipper-artifacts-{account}-{region}"


def bucket_exists(s3: Any, target: ArtifactsBucket) -> bool:
    """Tell whether the bucket exists. Raises ArtifactsBucketError if it cannot be used."""
    try:
        found = s3.head_bucket(Bucket=target.name, ExpectedBucketOwner=target.account)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _MISSING:
            return False
        if code in _DENIED:
            raise ArtifactsBucketError(
                f"the bucket {target.name} belongs to another account, or you may not read it: "
                "name another one with --bucket"
            ) from None
        raise
    if (region := found.get("BucketRegion", target.region)) != target.region:
        raise ArtifactsBucketError(
            f"the bucket {target.name} is in {region}, and Lambda needs one in {target.region}: "
            "name another one with --bucket"
        )
    return True


def make_bucket(s3: Any, target: ArtifactsBucket) -> None:
    """Make the bucket, without public access; it may already exist."""
    # us-east-1 is the only Region that accepts no constraint.
    constraint = (
        {}
        if target.region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": target.region}}
    )
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=target.name, **constraint)
    s3.put_public_access_block(
        Bucket=target.name,
        ExpectedBucketOwner=target.account,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    )


def is_uploaded(s3: Any, target: ArtifactsBucket, name: str) -> bool:
    """Tell whether the bucket has an upload of this name."""
    try:
        s3.head_object(Bucket=target.name, Key=PREFIX + name, ExpectedBucketOwner=target.account)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return False
        raise
    return True


def upload(s3: Any, target: ArtifactsBucket, name: str, content: Path | bytes) -> None:
    """Upload a file or bytes."""
    body = content if isinstance(content, bytes) else content.read_bytes()
    s3.put_object(
        Bucket=target.name, Key=PREFIX + name, Body=body, ExpectedBucketOwner=target.account
    )


def s3_uri(target: ArtifactsBucket, name: str) -> str:
    """Return the URI of an upload for a SAM template."""
    return f"s3://{target.name}/{PREFIX}{name}"


def s3_url(s3: Any, target: ArtifactsBucket, name: str) -> str:
    """Return the URL of an upload for CloudFormation's API."""
    return f"{s3.meta.endpoint_url}/{target.name}/{PREFIX}{name}"
