"""Reads log files from S3, keeps their progress in the stack's bucket, and sends messages anew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec import DecodeError
from msgspec.json import decode, encode

from loki_shipper.aws.arn import Arn, parse_arn
from loki_shipper.aws.boto import Bounds
from loki_shipper.aws.downloads import Downloads, is_gone
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.http import AwsHttp, endpoint
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.log_files.effects import (
    FileProgress,
    ObjectError,
    OpenObject,
    ProgressStore,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loki_shipper.aws.boto import AwsSession
    from loki_shipper.model import S3Object

PROGRESS: str = "progress/"
"""Folder of the bucket, with one small object for each log file that is not finished."""

_DOWNLOAD = Bounds(connect=3, read=20, attempts=3)
_CALL = Bounds(connect=1, read=3, attempts=3)
_ARCHIVED = "InvalidObjectState"


class ObjectReader:
    """Opens objects, and remembers the Regions of their buckets."""

    def __init__(self, session: AwsSession | None = None) -> None:
        self._downloads = Downloads(AwsHttp(session, _DOWNLOAD))

    def __call__(self, found: S3Object) -> OpenObject:
        """Begin to read an object. Raises ObjectError."""
        try:
            download = self._downloads.open(found)
        except AwsError as error:
            raise _object_error(error) from None
        return OpenObject(download.found, _translated(download.chunks))


def _translated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except AwsError as error:
        raise _object_error(error) from None


def _object_error(error: AwsError) -> ObjectError:
    if is_gone(error):
        return ObjectError("gone")
    if error.code == _ARCHIVED:
        return ObjectError("archived")
    if error.code.startswith("KMS.") or str(error) == "kms":
        return ObjectError("kms_denied")
    return ObjectError("denied" if error.kind == "denied" else "unreachable")


def progress_store(bucket: str | None, session: AwsSession | None = None) -> ProgressStore:
    """Give the store of progress in a bucket; without a bucket it keeps nothing."""
    if bucket is None:
        return ProgressStore(
            lambda _: FileProgress(), lambda _name, _progress: None, lambda _: None
        )
    aws = AwsHttp(session, _CALL)
    return ProgressStore(
        partial(_read_progress, aws, bucket),
        partial(_write_progress, aws, bucket),
        partial(_delete_progress, aws, bucket),
    )


def _read_progress(aws: AwsHttp, bucket: str, name: str) -> FileProgress:
    """Read a progress. If it cannot be read, the file is shipped from its beginning."""
    try:
        return decode(aws.get_object(bucket, _key(name)).body, type=FileProgress)
    except (AwsError, DecodeError):
        return FileProgress()


def _write_progress(aws: AwsHttp, bucket: str, name: str, progress: FileProgress) -> None:
    try:
        aws.put_object(bucket, _key(name), encode(progress))
    except AwsError as error:
        raise DeadLetterError(f"the bucket cannot be written: {error}") from None


def _delete_progress(aws: AwsHttp, bucket: str, name: str) -> None:
    """Delete a progress. If that fails, the bucket's lifecycle does it later."""
    try:
        aws.delete_object(bucket, _key(name))
    except AwsError:
        return


def _key(name: str) -> str:
    return f"{PROGRESS}{name}.json"


def send_message(queue: str, body: str, delay: int, session: AwsSession | None = None) -> bool:
    """Send a message to a queue, by its ARN, that comes after `delay` seconds; False: it failed."""
    match parse_arn(queue):
        case Arn(service="sqs", resource=(name,), origin=origin):
            url = f"{endpoint('sqs', origin.region)}/{origin.account}/{name}"
        case _:
            return False
    arguments: dict[str, str | int] = {
        "QueueUrl": url,
        "MessageBody": body,
        "DelaySeconds": delay,
    }
    try:
        AwsHttp(session, _CALL).call("sqs", "SendMessage", arguments)
    except AwsError:
        return False
    return True
