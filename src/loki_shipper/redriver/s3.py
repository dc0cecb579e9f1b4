"""The bucket as S3 has it; boto3, slow to load, is imported only when one is made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from loki_shipper.redriver.bucket import Bucket, BucketError, Read, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

_OTHERWISE = {"NoSuchKey", "404", "PreconditionFailed", "412", "ConditionalRequestConflict"}
"""Codes for an object that is gone, or has other content by now."""


def s3(name: str) -> Bucket:
    """Give the bucket of this name."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 3}, connect_timeout=2, read_timeout=10)
    calls = _Calls(boto3.client("s3", config=config), name)
    return Bucket(calls.folders, calls.objects, calls.read, calls.delete, calls.move)


class _Calls:
    """The calls of one bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def folders(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        with _translated("listed"):
            return [each["Prefix"] for page in pages for each in page.get("CommonPrefixes", [])]

    def objects(self, prefix: str) -> Iterator[Stored]:
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
        )
        while True:
            with _translated("listed"):
                page = next(pages, None)
            if page is None:
                return
            for each in page.get("Contents", []):
                yield Stored(each["Key"], each["ETag"], each["Size"], each["LastModified"])

    def read(self, key: str) -> Read | None:
        with _translated("read"):
            try:
                got = self._client.get_object(Bucket=self._bucket, Key=key)
            except self._client.exceptions.NoSuchKey:
                return None
            return Read(got["Body"].read(), got["ETag"])

    def delete(self, key: str, etag: str) -> bool:
        # This condition needs the right to read, too.
        return _while_unchanged(
            lambda: self._client.delete_object(Bucket=self._bucket, Key=key, IfMatch=etag)
        )

    def move(self, key: str, etag: str, to: str, reason: str) -> bool:
        def copy() -> object:
            return self._client.copy_object(
                Bucket=self._bucket,
                Key=to,
                CopySource={"Bucket": self._bucket, "Key": key},
                CopySourceIfMatch=etag,
                MetadataDirective="REPLACE",
                Metadata={"reason": reason},
                ContentType="application/json",
            )

        return _while_unchanged(copy) and self.delete(key, etag)


def _while_unchanged(act: Callable[[], object]) -> bool:
    """Act on a condition; False where it does not hold."""
    from botocore.exceptions import ClientError

    with _translated("changed"):
        try:
            act()
        except ClientError as error:
            if error.response["Error"]["Code"] in _OTHERWISE:
                return False
            raise
    return True


@contextmanager
def _translated(done: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise BucketError(f"the bucket cannot be {done}: {code}") from None
    except BotoCoreError as error:
        raise BucketError(f"the bucket cannot be {done}: {type(error).__name__}") from None
