"""The effects of shipping log files, on an AWS of this machine."""

import uuid

import pytest

from loki_shipper.aws.errors import AwsError
from loki_shipper.local.aws import ACCOUNT, LocalAws
from loki_shipper.model import S3Object
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.log_files.effects import FileProgress, ObjectError, ObjectReason
from loki_shipper.shipper.objects import (
    ObjectReader,
    _object_error,
    progress_store,
    send_message,
)


def test_an_object_is_opened_with_what_s3_tells_of_it(here: LocalAws, bucket: str) -> None:
    here.client("s3").put_object(Bucket=bucket, Key="a b", Body=b"line\n")
    opened = ObjectReader()(S3Object(bucket, "a b"))
    assert (opened.found.size, b"".join(opened.chunks)) == (5, b"line\n")
    with pytest.raises(ObjectError, match="gone"):
        ObjectReader()(S3Object(bucket, "other"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AwsError("denied", "AccessDenied"), "denied"),
        (AwsError("denied", "AccessDenied", "kms"), "kms_denied"),
        (AwsError("refused", "KMS.DisabledException"), "kms_denied"),
        (AwsError("refused", "InvalidObjectState"), "archived"),
        (AwsError("gone", "NoSuchKey"), "gone"),
        (AwsError("refused", "PreconditionFailed"), "gone"),
        (AwsError("throttled", "SlowDown"), "unreachable"),
        (AwsError("unreachable", ""), "unreachable"),
    ],
)
def test_an_error_of_s3_has_a_reason(error: AwsError, reason: ObjectReason) -> None:
    assert _object_error(error).reason == reason


def test_progress_is_kept_until_it_is_deleted(bucket: str) -> None:
    store = progress_store(bucket)
    assert store.read("one") == FileProgress()
    store.write("one", FileProgress(7, 1_795_206_000_000))
    assert store.read("one") == FileProgress(7, 1_795_206_000_000)
    store.delete("one")
    store.delete("one")
    assert store.read("one") == FileProgress()


def test_progress_that_cannot_be_read_is_none(here: LocalAws, bucket: str) -> None:
    here.client("s3").put_object(Bucket=bucket, Key="progress/one.json", Body=b"[")
    assert progress_store(bucket).read("one") == FileProgress()


@pytest.mark.usefixtures("here")
def test_progress_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(DeadLetterError, match="NoSuchBucket"):
        progress_store("no-such-bucket").write("one", FileProgress(1, 1))


def test_a_message_is_sent_to_the_queue_of_an_arn(here: LocalAws) -> None:
    sqs, name = here.client("sqs"), f"q-{uuid.uuid4().hex}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:{here.region}:{ACCOUNT}:{name}"
    assert send_message(arn, '{"ä":1}', 0)
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == '{"ä":1}'
    assert not send_message(f"{arn}-2", "x", 0)
    assert not send_message("no ARN", "x", 0)
