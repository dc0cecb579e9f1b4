"""Makes the calls of S3 for the redriver: list, read, delete and move objects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING, Any

from loki_shipper.aws.boto import Bounds, call_boto, get_object, make_client
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.objects import ObjectFound, is_missing, read_object
from loki_shipper.redriver.bucket import Bucket, BucketError, Fault, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_s3 import S3Client

    from loki_shipper.aws.boto import AwsSession

_BOUNDS = Bounds(connect=2, read=5, attempts=2)
"""A call ends within 14 seconds."""

_PARALLEL_READS = 16
"""Objects that are read at the same time, because most of a read is waiting for S3."""

_MAX_DELETES = 1000
"""Objects that one call of DeleteObjects takes."""


def s3(name: str, session: AwsSession | None = None) -> Bucket:
    """Give the bucket of this name; the credentials are those of the session."""
    calls = _Calls(make_client("s3", _BOUNDS, session, connections=_PARALLEL_READS), name)
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
        while (page := _list_page(lambda: next(pages, None))) is not None:
            for each in page.get("Contents", []):
                yield StoredObject(each["Key"], each["Size"], each["LastModified"])

    def read(self, keys: Sequence[str]) -> list[bytes | Fault | None]:
        with ThreadPoolExecutor(_PARALLEL_READS) as pool:
            return [*pool.map(self._read, keys)]

    def _read(self, key: str) -> bytes | Fault | None:
        try:
            answer = read_object(lambda: get_object(self._client, self._bucket, key))
        except AwsError as error:
            return Fault(error.code)
        return answer.body if isinstance(answer, ObjectFound) else None

    def delete(self, keys: Sequence[str]) -> dict[str, Fault]:
        faults: dict[str, Fault] = {}
        for some in batched(keys, _MAX_DELETES):
            faults |= self._delete(some)
        return faults

    def _delete(self, keys: Sequence[str]) -> dict[str, Fault]:
        objects: Any = [{"Key": key} for key in keys]
        try:
            answer = call_boto(
                lambda: self._client.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True}
                )
            )
        except AwsError as error:
            return dict.fromkeys(keys, Fault(error.code))
        return {error["Key"]: Fault(error["Code"]) for error in answer.get("Errors", [])}

    def move(self, key: str, to: str, reason: str) -> Fault | None:
        try:
            call_boto(
                lambda: self._client.copy_object(
                    Bucket=self._bucket,
                    Key=to,
                    CopySource={"Bucket": self._bucket, "Key": key},
                    MetadataDirective="REPLACE",
                    Metadata={"reason": reason},
                    ContentType="application/json",
                )
            )
        except AwsError as error:
            return None if is_missing(error) else Fault(error.code)
        return self._delete([key]).get(key)


def _list_page[T](call: Callable[[], T]) -> T:
    try:
        return call_boto(call)
    except AwsError as error:
        raise BucketError(f"the bucket cannot be listed: {error.code}") from None
