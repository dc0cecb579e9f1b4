"""Conditional reads and writes of S3 objects: each answer of S3 as a value.

`http` and `boto` make the calls. Everything that is not one of these answers is an AwsError.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from collections.abc import Callable

from msgspec import Struct

from loki_shipper.aws.errors import AwsError

_MISSING = {"NoSuchKey", "404"}
# NoSuchKey: the object was deleted after we read the ETag that the write names.
_CONFLICT = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}


class ObjectFound(Struct, frozen=True):
    """S3 sent the object."""

    body: bytes
    etag: str


class ObjectUnchanged(Struct, frozen=True):
    """The object still has the ETag that the request named, so S3 did not send it."""


class ObjectMissing(Struct, frozen=True):
    """The bucket has no such object. S3 says so only to callers with `s3:ListBucket`.

    Other callers get a 403, which is an AwsError of the kind `denied`.
    """


class ObjectWritten(Struct, frozen=True):
    """S3 wrote the object."""


class ObjectConflict(Struct, frozen=True):
    """The object no longer has the ETag that the request named, so S3 did not write it."""


type ObjectRead = ObjectFound | ObjectUnchanged | ObjectMissing
type ObjectWrite = ObjectWritten | ObjectConflict


def read_object(get: Callable[[], ObjectFound]) -> ObjectRead:
    """Give the answer to a read; `get` calls GetObject. Raises AwsError."""
    try:
        return get()
    except AwsError as error:
        if error.code == "304":
            return ObjectUnchanged()
        if is_missing(error):
            return ObjectMissing()
        raise


def write_object(put: Callable[[], None]) -> ObjectWrite:
    """Give the answer to a conditional write; `put` calls PutObject. Raises AwsError."""
    try:
        put()
    except AwsError as error:
        if error.code in _CONFLICT:
            return ObjectConflict()
        raise
    return ObjectWritten()


def is_missing(error: AwsError) -> bool:
    """Tell whether a call failed because the bucket has no such object."""
    return error.code in _MISSING
