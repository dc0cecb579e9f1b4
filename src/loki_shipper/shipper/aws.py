"""What the shipper asks of AWS: tags, tag indexes, secrets; and what it writes to the bucket.

A `session` says whose credentials and which Region count: on Lambda there is none, and the
function's own do.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from loki_shipper.aws.arn import log_group_arn, parse_arn
from loki_shipper.aws.http import Aws, AwsHttpError, Bounds
from loki_shipper.settings import SettingsError
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.labels.tag_index import decode_index, index_key
from loki_shipper.shipper.labels.tags import IndexUnchanged, TagsUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boto3 import Session

    from loki_shipper.aws.arn import Origin
    from loki_shipper.shipper.labels.tag_index import TagIndex

_DENIED = {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"}
_SECRET_SECONDS = 300
_ONCE = Bounds(connect=1, read=1, attempts=1)
_TWICE = Bounds(connect=1, read=2, attempts=2)


def fetch_tags(
    log_group: str, origin: Origin, session: Session | None = None
) -> Mapping[str, str] | TagsUnavailable:
    """Ask CloudWatch Logs for a log group's tags, once, for two seconds at most."""
    try:
        return _list_tags(Aws(session, _ONCE), log_group, origin)
    except AwsHttpError as error:
        gone = error.code == "ResourceNotFoundException"
        return TagsUnavailable(denied=error.code in _DENIED, gone=gone)


def _list_tags(aws: Aws, log_group: str, origin: Origin) -> dict[str, str]:
    # ListTagsForResource takes no # in an ARN; the deprecated call takes it in a name.
    if "#" in log_group:
        asked = aws.ask("logs", "ListTagsLogGroup", {"logGroupName": log_group})
    else:
        arn = log_group_arn(origin, log_group)
        asked = aws.ask("logs", "ListTagsForResource", {"resourceArn": arn})
    match asked:
        case {"tags": dict(tags)}:
            return tags
        case _:
            return {}


class IndexReader:
    """Reads tag indexes from the bucket; one that has not changed is not sent again."""

    def __init__(self, bucket: str | None, region: str, session: Session | None = None) -> None:
        self._bucket = bucket
        self._region = region
        self._aws = Aws(session, _ONCE)
        self._etags: dict[str, str] = {}

    def __call__(self, account: str) -> TagIndex | IndexUnchanged | None:
        """Read an account's index, once, for two seconds at most; None without a bucket."""
        if self._bucket is None or not account:
            return None
        key = index_key(account, self._region)
        try:
            got = self._aws.get_object(self._bucket, key, unless=self._etags.get(account))
        except AwsHttpError:
            # Without s3:ListBucket, S3 answers 403 in place of 404: one cannot be told from the
            # other, and both may pass.
            return IndexUnchanged()
        index = decode_index(got.body)
        if index is None:
            return IndexUnchanged()
        self._etags[account] = got.etag
        return index


def put_object(bucket: str, key: str, body: bytes, session: Session | None = None) -> None:
    """Write an object. Raises SpillError."""
    try:
        Aws(session, _TWICE).put_object(bucket, key, body)
    except AwsHttpError as error:
        raise DeadLetterError(f"the bucket cannot be written: {error}") from None


_secrets: dict[tuple[Session | None, str], tuple[str, float]] = {}
"""Secrets by session and reference, and until when each is as known, by the monotonic clock."""


def fetch_secret(reference: str, *, fresh: bool = False, session: Session | None = None) -> str:
    """Read a secret from Secrets Manager (an ARN of it) or SSM (a parameter's name or ARN).

    Kept for five minutes, unless `fresh` asks for the store itself. Raises SettingsError.
    """
    known, until = _secrets.get((session, reference), ("", 0.0))
    if time.monotonic() < until and not fresh:
        return known
    try:
        secret = _secret(Aws(session, _TWICE), reference)
    except AwsHttpError:
        secret = None
    if secret is None:
        # The message may hold what the store said, which is not ours to log.
        raise SettingsError("a secret that the settings refer to cannot be read")
    _secrets[session, reference] = (secret, time.monotonic() + _SECRET_SECONDS)
    return secret


def _secret(aws: Aws, reference: str) -> str | None:
    arn = parse_arn(reference)
    if arn is not None and arn.service == "secretsmanager":
        asked = aws.ask("secretsmanager", "GetSecretValue", {"SecretId": reference})
    else:
        named: dict[str, str | bool] = {"Name": reference, "WithDecryption": True}
        asked = aws.ask("ssm", "GetParameter", named)
    match asked:
        case {"SecretString": str(secret)} | {"Parameter": {"Value": str(secret)}}:
            return secret
        case _:
            return None
