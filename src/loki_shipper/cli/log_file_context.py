"""Opens objects, and reads the settings, rules and tags with which a function ships log files."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, Final

import click
from botocore.exceptions import ClientError

from loki_shipper.cli.deployed_rules import deployed_rules
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import InputError, settings_errors
from loki_shipper.cli.explain_log_file import LogFileContext
from loki_shipper.cli.object_name import SCHEME
from loki_shipper.local.sample import OWNER
from loki_shipper.model import LogData, LogSource, S3Object
from loki_shipper.settings import settings
from loki_shipper.shipper.labels.decide import tag_source
from loki_shipper.shipper.labels.tag_index import decode_index, index_key

_CHUNK: Final = 256 * 1024
_NOT_THERE: Final = {"NoSuchKey", "NoSuchTagSet"}
_DENIED: Final = "AccessDenied"
_NOT_PUSHED: Final = "http://not-pushed.invalid"


def local_region(environ: Mapping[str, str]) -> str:
    """Return the Region that the environment names, or one of AWS's."""
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "eu-central-1"


def local_context(
    environ: Mapping[str, str], tags: Mapping[str, str], region: str | None
) -> LogFileContext:
    """Return the settings and rules of the environment, without AWS. Raises InputError."""
    with settings_errors("the environment"):
        configured = settings({**environ, "LOKI_URL": _NOT_PUSHED})
    rules = deployed_rules(configured)
    return LogFileContext(
        is_deployed=False,
        environ=environ,
        settings=configured,
        rules=rules,
        account=OWNER,
        region=region or local_region(environ),
        tags=lambda _: tags,
    )


def deployed_context(deployment: Deployment, more_tags: Mapping[str, str]) -> LogFileContext:
    """Return the settings, rules and tags with which a deployment ships log files."""
    shipper = deployment.shipper
    with settings_errors(f"the settings of {deployment.name}"):
        configured = settings(shipper.environ)
    origin = shipper.origin

    def tags(data: LogData) -> dict[str, str]:
        source = tag_source(data, region=origin.region, settings=configured)
        return _tags(deployment.client("s3"), configured.bucket, source) | dict(more_tags)

    rules = deployed_rules(configured, deployment.session)
    return LogFileContext(
        is_deployed=True,
        environ=shipper.environ,
        settings=configured,
        rules=rules,
        account=origin.account,
        region=origin.region,
        tags=tags,
    )


def _tags(s3: Any, index_bucket: str | None, source: LogSource) -> dict[str, str]:
    """Read tags from the index, else those of a bucket from S3.

    Says on stderr if you may not read them. Raises what boto3 raises.
    """
    if index_bucket is not None:
        key = index_key(source.account, source.region)
        body = _if_there(partial(_read, s3, index_bucket, key))
        index = None if body is None else decode_index(body)
        if index is not None and (tagged := index.groups.get(source.log_group)) is not None:
            return tagged.tags
    if not source.log_group.startswith(SCHEME):
        return {}
    bucket = source.log_group.removeprefix(SCHEME).partition("/")[0]
    found = _if_there(partial(s3.get_bucket_tagging, Bucket=bucket))
    return {each["Key"]: each["Value"] for each in (found or {}).get("TagSet", ())}


def _read(s3: Any, bucket: str, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def _if_there[T](call: Callable[[], T]) -> T | None:
    try:
        return call()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == _DENIED:
            click.echo(f"its tags could not be read ({code})", err=True)
        elif code not in _NOT_THERE:
            raise
        return None


def object_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Read a file that stands for an object."""
    return iter(lambda: file.read(_CHUNK), b"")


def open_stored(s3: Any, bucket: str, key: str) -> tuple[S3Object, Iterator[bytes]]:
    """Open an object with your credentials. Raises InputError, and what boto3 raises."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key, RequestPayer="requester")
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise InputError(f"there is no object {key} in the bucket {bucket}") from None
    found = S3Object(
        bucket,
        key,
        etag=answer["ETag"].strip('"'),
        size=answer["ContentLength"],
        written=int(answer["LastModified"].timestamp() * 1000),
    )
    return found, answer["Body"].iter_chunks(_CHUNK)
