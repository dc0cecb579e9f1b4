"""The bucket as S3 has it; boto3, slow to load, is imported only when one is made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING

from loki_shipper.redriver.bucket import Bucket, BucketError, Fault, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from boto3 import Session
    from mypy_boto3_s3 import S3Client

_AT_ONCE = 16
"""Objects that are read at the same time: a read is mostly waiting."""

_A_CALL = 1000
"""Objects that DeleteObjects takes."""

_GONE = {"NoSuchKey", "404"}


def s3(name: str, session: Session | None = None) -> Bucket:
    """Give the bucket of this name; `session` says who asks S3, by default the function itself."""
    import boto3
    from botocore.config import Config

    config = Config(
        # So that a call ends within 14 seconds, whatever S3 does.
        retries={"total_max_attempts": 2},
        connect_timeout=2,
        read_timeout=5,
        max_pool_connections=_AT_ONCE,
    )
    calls = _Calls((session or boto3).client("s3", config=config), name)
    return Bucket(calls.objects, calls.read, calls.delete, calls.move)


class _Calls:
    """The calls of one bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def objects(self, prefix: str, after: str = "") -> Iterator[StoredObject]:
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after
            )
        )
        while (page := _listed(lambda: next(pages, None))) is not None:
            for each in page.get("Contents", []):
                yield StoredObject(each["Key"], each["Size"], each["LastModified"])

    def read(self, keys: Sequence[str]) -> list[bytes | Fault | None]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [*pool.map(self._read, keys)]

    def _read(self, key: str) -> bytes | Fault | None:
        def get() -> bytes:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

        got = _tried(get)
        return None if isinstance(got, Fault) and got.code in _GONE else got

    def delete(self, keys: Sequence[str]) -> dict[str, Fault]:
        faults: dict[str, Fault] = {}
        for some in batched(keys, _A_CALL):
            faults |= self._delete(some)
        return faults

    def _delete(self, keys: Sequence[str]) -> dict[str, Fault]:
        answer = _tried(
            lambda: self._client.delete_objects(
                Bucket=self._bucket,
                Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            )
        )
        if isinstance(answer, Fault):
            return dict.fromkeys(keys, answer)
        return {error["Key"]: Fault(error["Code"]) for error in answer.get("Errors", [])}

    def move(self, key: str, to: str, reason: str) -> Fault | None:
        copied = _tried(
            lambda: self._client.copy_object(
                Bucket=self._bucket,
                Key=to,
                CopySource={"Bucket": self._bucket, "Key": key},
                MetadataDirective="REPLACE",
                Metadata={"reason": reason},
                ContentType="application/json",
            )
        )
        if isinstance(copied, Fault):
            return None if copied.code in _GONE else copied
        return self._delete([key]).get(key)


def _tried[T](call: Callable[[], T]) -> T | Fault:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except ClientError as error:
        return Fault(error.response["Error"]["Code"])
    except BotoCoreError as error:
        return Fault(type(error).__name__)


def _listed[T](call: Callable[[], T]) -> T:
    answer = _tried(call)
    if isinstance(answer, Fault):
        raise BucketError(f"the bucket cannot be listed: {answer.code}")
    return answer
