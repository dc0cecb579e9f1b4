"""Reads tags, tag indexes and secrets from AWS for the shipper, and writes dead letters to S3.

Without a `session`, the credentials and the Region are those of the Lambda function.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from loki_shipper.aws.arn import parse_arn
from loki_shipper.aws.boto import Bounds
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.http import AwsHttp
from loki_shipper.aws.objects import ObjectFound, read_object
from loki_shipper.aws.tags import log_group_tags
from loki_shipper.environment import SettingsError
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.labels.tag_index import decode_index, index_key
from loki_shipper.shipper.labels.tags import IndexUnchanged, TagsUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loki_shipper.aws.arn import Origin
    from loki_shipper.aws.boto import AwsSession
    from loki_shipper.shipper.labels.tag_index import TagIndex

_BUCKETS = "s3://"
_GONE = {"ResourceNotFoundException", "NoSuchBucket"}
_SECRET_SECONDS = 300
_ONE_ATTEMPT = Bounds(connect=1, read=1, attempts=1)
_TWO_ATTEMPTS = Bounds(connect=1, read=2, attempts=2)


def fetch_tags(
    log_group: str, origin: Origin, session: AwsSession | None = None
) -> Mapping[str, str] | TagsUnavailable:
    """Give the tags of a log group, or of a bucket by `s3://NAME`.

    It is one call of at most two seconds, and a second one for a bucket in another Region.
    """
    aws = AwsHttp(session, _ONE_ATTEMPT)
    try:
        if log_group.startswith(_BUCKETS):
            return aws.get_bucket_tags(log_group.removeprefix(_BUCKETS))
        return log_group_tags(log_group, origin, partial(aws.call, "logs"))
    except AwsError as error:
        denied = error.kind == "denied" or error.code == "UnrecognizedClientException"
        return TagsUnavailable(denied=denied, gone=error.code in _GONE)


class IndexReader:
    """Reads tag indexes from the bucket; S3 sends only those that have changed."""

    def __init__(self, bucket: str | None, session: AwsSession | None = None) -> None:
        self._bucket = bucket
        self._aws = AwsHttp(session, _ONE_ATTEMPT)
        self._etags: dict[str, str] = {}

    def __call__(self, account: str, region: str) -> TagIndex | IndexUnchanged | None:
        """Read an index with one call of at most two seconds; None without a bucket."""
        if self._bucket is None or not account:
            return None
        key = index_key(account, region)
        etag = self._etags.get(key)
        try:
            answer = read_object(partial(self._aws.get_object, self._bucket, key, etag))
        except AwsError:
            # Without s3:ListBucket, S3 answers 403 instead of 404 for a missing key. A later call
            # may succeed in both cases.
            return IndexUnchanged()
        if not isinstance(answer, ObjectFound):
            return IndexUnchanged()
        index = decode_index(answer.body)
        if index is None:
            return IndexUnchanged()
        self._etags[key] = answer.etag
        return index


def put_object(bucket: str, key: str, body: bytes, session: AwsSession | None = None) -> None:
    """Write an object. Raises DeadLetterError."""
    try:
        AwsHttp(session, _TWO_ATTEMPTS).put_object(bucket, key, body)
    except AwsError as error:
        raise DeadLetterError(f"the bucket cannot be written: {error}") from None


_secrets: dict[tuple[AwsSession | None, str], tuple[str, float]] = {}
"""Secrets by session and reference, and when each expires, by the monotonic clock."""


def fetch_secret(reference: str, *, fresh: bool = False, session: AwsSession | None = None) -> str:
    """Read a secret of Secrets Manager, by its ARN, or a parameter of SSM, by its name or ARN.

    A secret is cached for five minutes; `fresh` skips the cache. Raises SettingsError.
    """
    cached, until = _secrets.get((session, reference), ("", 0.0))
    if time.monotonic() < until and not fresh:
        return cached
    try:
        secret = _secret(AwsHttp(session, _TWO_ATTEMPTS), reference)
    except AwsError:
        secret = None
    if secret is None:
        # The log must not show the reference or the answer.
        raise SettingsError("a secret that the settings refer to cannot be read")
    _secrets[session, reference] = (secret, time.monotonic() + _SECRET_SECONDS)
    return secret


def _secret(aws: AwsHttp, reference: str) -> str | None:
    arn = parse_arn(reference)
    if arn is not None and arn.service == "secretsmanager":
        answer = aws.call("secretsmanager", "GetSecretValue", {"SecretId": reference})
    else:
        arguments: dict[str, str | bool] = {"Name": reference, "WithDecryption": True}
        answer = aws.call("ssm", "GetParameter", arguments)
    match answer:
        case {"SecretString": str(secret)} | {"Parameter": {"Value": str(secret)}}:
            return secret
        case _:
            return None
