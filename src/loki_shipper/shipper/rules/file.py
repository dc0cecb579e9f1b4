"""Reads the file that RULES names: of the function's own folder, or in a bucket."""

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
    """Read a rules file, once, for a few seconds at most.

    `reference` is `s3://bucket/key`, or a path, relative to the function's folder, of which the
    working directory is one on Lambda. An object that still has this etag is not sent again.
    `session` says who asks S3; by default boto3's own does.
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
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as in aws.py

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
    import boto3  # noqa: PLC0415 - as in aws.py
    from botocore.config import Config  # noqa: PLC0415 - likewise

    # Nothing is shipped without the rules, so it is worth a second try.
    config = Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=3)
    return (session or boto3).client("s3", config=config)
