"""Reads the file that RULES names, from the function's folder or from a bucket."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from loki_shipper.aws.boto import Bounds, call_boto, get_object, make_client
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.objects import ObjectFound, ObjectMissing, ObjectUnchanged, read_object
from loki_shipper.shipper.rules.cache import FileUnchanged, FileUnreadable, RulesText

if TYPE_CHECKING:
    from loki_shipper.aws.boto import AwsSession

_S3 = "s3://"
# One retry, because the shipper ships nothing without the rules.
_BOUNDS = Bounds(connect=2, read=3, attempts=2)
_NOT_UTF_8 = "it is not UTF-8"


def rules_file(
    reference: str, etag: str | None, session: "AwsSession | None" = None
) -> RulesText | FileUnchanged | FileUnreadable:
    """Return the text of a rules file, after at most two attempts.

    `reference` is `s3://bucket/key`, or a path from the working directory, which on Lambda is the
    function's folder. S3 does not send an object that still has this ETag. The credentials
    are those of the session.
    """
    if reference.startswith(_S3):
        bucket, _, key = reference.removeprefix(_S3).partition("/")
        return _object(bucket, key, etag, session)
    try:
        return RulesText(Path(reference).read_text("utf-8"), None)
    except UnicodeDecodeError:
        return FileUnreadable(_NOT_UTF_8)
    except OSError as error:
        return FileUnreadable(error.strerror or type(error).__name__)


def _object(
    bucket: str, key: str, etag: str | None, session: "AwsSession | None"
) -> RulesText | FileUnchanged | FileUnreadable:
    try:
        s3 = call_boto(lambda: _s3(session))
        answer = read_object(lambda: get_object(s3, bucket, key, etag))
    except AwsError as error:
        return FileUnreadable(error.code)
    match answer:
        case ObjectFound():
            return _decoded(answer)
        case ObjectUnchanged():
            return FileUnchanged()
        case ObjectMissing():
            return FileUnreadable("NoSuchKey")
        case _:
            assert_never(answer)


def _decoded(answer: ObjectFound) -> RulesText | FileUnreadable:
    try:
        return RulesText(answer.body.decode(), answer.etag)
    except UnicodeDecodeError:
        return FileUnreadable(_NOT_UTF_8)


@cache
def _s3(session: "AwsSession | None") -> Any:
    return make_client("s3", _BOUNDS, session)
