"""Rules in a bucket, on S3's own protocol: read once, then only when they have changed."""

import uuid

import boto3
import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.receiver import Receiver
from loki_shipper.local.sample import invocation_event
from loki_shipper.settings import settings
from loki_shipper.shipper.rules.cache import FileUnchanged, FileUnreadable, RulesText
from loki_shipper.shipper.rules.file import _s3, rules_file
from loki_shipper.shipper.rules.model import RulesError
from loki_shipper.shipper.shipper import Shipper
from tests.pipeline.execution_environment import lines

RULES = "[[rule]]\nreplace = 'größe \\d+'\nwith = 'größe …'\n"


@pytest.fixture
def bucket(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    _s3.cache_clear()
    name = f"bucket-{uuid.uuid4().hex}"
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    return name


def test_an_object_is_not_read_again_while_its_etag_stays(aws: LocalAws, bucket: str) -> None:
    reference = f"s3://{bucket}/a/rules.toml"
    put = aws.client("s3").put_object
    put(Bucket=bucket, Key="a/rules.toml", Body=RULES.encode())
    first = rules_file(reference, None)
    assert isinstance(first, RulesText)
    assert (first.text, bool(first.etag)) == (RULES, True)
    assert rules_file(reference, first.etag) == FileUnchanged()
    put(Bucket=bucket, Key="a/rules.toml", Body=b"")
    second = rules_file(reference, first.etag)
    assert isinstance(second, RulesText)
    assert second.text == ""


def test_a_file_that_cannot_be_read_gives_a_reason(aws: LocalAws, bucket: str) -> None:
    assert rules_file(f"s3://{bucket}/none", None) == FileUnreadable("NoSuchKey")
    assert rules_file(f"s3://{bucket}x/none", None) == FileUnreadable("NoSuchBucket")
    aws.client("s3").put_object(Bucket=bucket, Key="latin", Body=b"\xff")
    assert rules_file(f"s3://{bucket}/latin", None) == FileUnreadable("it is not UTF-8")


def test_a_shipper_applies_the_rules_of_a_bucket_and_ships_nothing_without_them(
    aws: LocalAws, bucket: str, receiver: Receiver
) -> None:
    environ = {
        "LOKI_URL": receiver.url,
        "RULES": f"s3://{bucket}/rules.toml",
        "TAG_LABELS": "none",
    }
    environment = Shipper(settings(environ), "")
    event = invocation_event(lines("größe 42"))
    with pytest.raises(RulesError, match=r"rules\.toml cannot be read: NoSuchKey"):
        environment.ship(event, lambda: 30.0)
    aws.client("s3").put_object(Bucket=bucket, Key="rules.toml", Body=RULES.encode())
    environment.ship(event, lambda: 30.0)
    assert [entry.line for _, entry in receiver.held()] == ["größe …"]
