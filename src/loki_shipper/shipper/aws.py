"""What the shipper asks of AWS; boto3, slow to load, is imported only when a call is due.

A `session` says whose credentials and which Region count: on Lambda there is none, and the
function's own do.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from loki_shipper.settings import SettingsError
from loki_shipper.shipper.spill import SpillError
from loki_shipper.shipper.tag_index import decode_index, index_key
from loki_shipper.shipper.tags import Unavailable, Unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.parameters import BaseProvider
    from boto3 import Session
    from botocore.config import Config
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

    from loki_shipper.shipper.tag_index import TagIndex

_DENIED = {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException"}
_SECRET_SECONDS = 300
_MAKING = Lock()
"""The redriver ships from several threads, and boto3 makes clients in one at a time only."""


class Origin(NamedTuple):
    """Where the function runs, as its ARN says."""

    partition: str
    region: str
    account: str


def origin(function_arn: str) -> Origin:
    """Read partition, region and account from a function's ARN; empty where it is not one."""
    match function_arn.split(":"):
        case ["arn", partition, "lambda", region, account, *_]:
            return Origin(partition, region, account)
        case _:
            return Origin("aws", "", "")


def fetch_tags(
    log_group: str, origin: Origin, session: Session | None = None
) -> Mapping[str, str] | Unavailable:
    """Ask CloudWatch Logs for a log group's tags, once, for two seconds at most."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return _list_tags(_logs(session), log_group, origin)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return Unavailable(denied=code in _DENIED, gone=code == "ResourceNotFoundException")
    except BotoCoreError:
        return Unavailable()


def _list_tags(logs: CloudWatchLogsClient, log_group: str, origin: Origin) -> Mapping[str, str]:
    # ListTagsForResource takes no # in an ARN; the deprecated call takes it in a name.
    if "#" in log_group:
        return logs.list_tags_log_group(logGroupName=log_group)["tags"]
    arn = f"arn:{origin.partition}:logs:{origin.region}:{origin.account}:log-group:{log_group}"
    return logs.list_tags_for_resource(resourceArn=arn)["tags"]


class IndexReader:
    """Reads tag indexes from the bucket; one that has not changed is not sent again."""

    def __init__(self, bucket: str | None, region: str, session: Session | None = None) -> None:
        self._bucket = bucket
        self._region = region
        self._session = session
        self._etags: dict[str, str] = {}

    def __call__(self, account: str) -> TagIndex | Unchanged | None:
        """Read an account's index, once, for two seconds at most; None without a bucket."""
        if self._bucket is None or not account:
            return None
        from botocore.exceptions import BotoCoreError, ClientError

        condition: dict[str, Any] = {}
        if etag := self._etags.get(account):
            condition = {"IfNoneMatch": etag}
        try:
            got = _index_store(self._session).get_object(
                Bucket=self._bucket, Key=index_key(account, self._region), **condition
            )
            index = decode_index(got["Body"].read())
        except (BotoCoreError, ClientError):
            # Without s3:ListBucket, S3 answers 403 in place of 404: one cannot be told from the
            # other, and both may pass.
            return Unchanged()
        if index is None:
            return Unchanged()
        self._etags[account] = got["ETag"]
        return index


def put_object(bucket: str, key: str, body: bytes, session: Session | None = None) -> None:
    """Write an object. Raises SpillError."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        _s3(session).put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    except (BotoCoreError, ClientError) as error:
        raise SpillError(f"the bucket cannot be written: {type(error).__name__}") from None


def fetch_secret(reference: str, *, fresh: bool = False, session: Session | None = None) -> str:
    """Read a secret from Secrets Manager (an ARN of it) or SSM (a parameter's name or ARN).

    Kept for five minutes, unless `fresh` asks for the store itself. Raises SettingsError.
    """
    from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError

    store, options = _secret_store(reference, session)
    try:
        got = store.get(reference, max_age=_SECRET_SECONDS, force_fetch=fresh, **options)
        return str(got)
    except GetParameterError:
        # The message may hold what the store said, which is not ours to log.
        raise SettingsError("a secret that the settings refer to cannot be read") from None


def _secret_store(reference: str, session: Session | None) -> tuple[BaseProvider, dict[str, Any]]:
    """Give the store that a reference is of, and what it has to be told."""
    if ":secretsmanager:" in reference:
        return _secrets_manager(session), {}
    return _parameter_store(session), {"decrypt": True}


@cache
def _secrets_manager(session: Session | None) -> BaseProvider:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    return SecretsProvider(
        boto3_session=session, boto_config=_config(attempts=2, connect=1, read=2)
    )


@cache
def _parameter_store(session: Session | None) -> BaseProvider:
    from aws_lambda_powertools.utilities.parameters import SSMProvider

    return SSMProvider(boto3_session=session, boto_config=_config(attempts=2, connect=1, read=2))


@cache
def _logs(session: Session | None) -> CloudWatchLogsClient:
    import boto3

    with _MAKING:
        return (session or boto3).client("logs", config=_config(attempts=1, connect=1, read=1))


@cache
def _index_store(session: Session | None) -> S3Client:
    import boto3

    with _MAKING:
        return (session or boto3).client("s3", config=_config(attempts=1, connect=1, read=1))


@cache
def _s3(session: Session | None) -> S3Client:
    import boto3

    with _MAKING:
        return (session or boto3).client("s3", config=_config(attempts=2, connect=1, read=2))


def _config(*, attempts: int, connect: int, read: int) -> Config:
    """Bound a client's calls; times are in seconds."""
    from botocore.config import Config

    return Config(
        retries={"total_max_attempts": attempts}, connect_timeout=connect, read_timeout=read
    )
