"""Reads the file that RULES names, from the function's folder or from a bucket."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loki_shipper.shipper.rules.cache import FileUnchanged, FileUnreadable, RulesText

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_s3 import S3Client

_S3 = "s3://"
_NOT_UTF_8 = "it is not UTF-8"


def rules_file(
    reference: str, etag: str | None, session: "Session | None" = None
) -> RulesText | FileUnchanged | FileUnreadable:
    """Return the text of a rules file, after at most two attempts.

    `reference` is `s3://bucket/key`, or a path from the working directory, which on Lambda is the
    function's folder. S3 does not send an object that still has this etag. `session` has the
    credentials, by default boto3's own session.
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
    bucket: str, key: str, etag: str | None, session: "Session | None"
) -> RulesText | FileUnchanged | FileUnreadable:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - slow to load

    condition: dict[str, Any] = {} if etag is None else {"IfNoneMatch": etag}
    try:
        got = _s3(session).get_object(Bucket=bucket, Key=key, **condition)
        return RulesText(got["Body"].read().decode(), got["ETag"])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return FileUnchanged() if code == "304" else FileUnreadable(code)
    except BotoCoreError as error:
        return FileUnreadable(type(error).__name__)
    except UnicodeDecodeError:
        return FileUnreadable(_NOT_UTF_8)


@cache
def _s3(session: "Session | None") -> "S3Client":
    import boto3  # noqa: PLC0415 - slow to load
    from botocore.config import Config  # noqa: PLC0415 - likewise

    # One retry, because nothing is shipped without the rules.
    config = Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=3)
    return (session or boto3).client("s3", config=config)
