"""The shipper's own calls to AWS work with moto, and report errors of servers that fail."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import boto3
import pytest

from loki_shipper.aws.arn import Origin
from loki_shipper.aws.boto import Bounds
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.http import AwsHttp, endpoint, object_url
from loki_shipper.aws.objects import ObjectUnchanged, read_object
from loki_shipper.environment import SettingsError
from loki_shipper.local.aws import LocalAws
from loki_shipper.shipper.aws import IndexReader, fetch_secret, fetch_tags, put_object
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.labels.tag_index import Tagged, TagIndex, encode_index, index_key
from loki_shipper.shipper.labels.tags import IndexUnchanged, TagsUnavailable
from tests.pipeline.servers import closed

ONCE = AwsHttp(None, Bounds(connect=1, read=1, attempts=1))
TWICE = AwsHttp(None, Bounds(connect=1, read=1, attempts=2))
HERE = Origin("aws", "eu-central-1", "123456789012")
REGIONS = [
    *("us-east-1", "eu-central-1", "ap-southeast-7", "us-gov-west-1", "cn-north-1"),
    *("us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1", "eusc-de-east-1"),
]


@pytest.fixture(params=["as Lambda does", "as people do"])
def here(
    request: pytest.FixtureRequest, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LocalAws]:
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    if request.param == "as Lambda does":
        monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    boto3.setup_default_session()
    yield aws
    boto3.setup_default_session()


def test_an_object_is_written_and_read_with_its_etag(here: LocalAws, bucket: str) -> None:
    key = "failed/2026/11/29/2026-11-29T18.30.59-ä b+c.json"
    put_object(bucket, key, b"{}")
    held = here.client("s3").get_object(Bucket=bucket, Key=key)
    assert (held["Body"].read(), held["ContentType"]) == (b"{}", "application/json")
    got = ONCE.get_object(bucket, key)
    assert (got.body, got.etag) == (b"{}", held["ETag"])
    assert read_object(lambda: ONCE.get_object(bucket, key, got.etag)) == ObjectUnchanged()


def test_an_index_is_read_again_only_when_it_has_changed(here: LocalAws, bucket: str) -> None:
    put, key = here.client("s3").put_object, index_key("1", "eu-central-1")
    reader = IndexReader(bucket)
    assert reader("1", "eu-central-1") == IndexUnchanged()
    one = TagIndex({"g": Tagged(1, {"team": "a"})})
    put(Bucket=bucket, Key=key, Body=encode_index(one))
    assert reader("1", "eu-central-1") == one
    assert reader("1", "eu-central-1") == IndexUnchanged()
    put(Bucket=bucket, Key=key, Body=encode_index(TagIndex()))
    assert reader("1", "eu-central-1") == TagIndex()


def test_tags_are_read(here: LocalAws) -> None:
    name = f"/aws_http/{uuid.uuid4().hex}"
    here.create_log_group(name, {"team": "größe"})
    assert fetch_tags(name, HERE) == {"team": "größe"}


def test_tags_of_a_bucket_are_read(here: LocalAws, bucket: str) -> None:
    name = f"s3://{bucket}"
    assert fetch_tags(name, HERE) == {}
    tags = {"team": "größe <&> \"x\" 'y'", "empty": "", "a/b:c": "1"}
    tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
    here.client("s3").put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_set})
    assert fetch_tags(name, HERE) == tags


@pytest.mark.usefixtures("here")
def test_tags_of_a_bucket_that_does_not_exist_are_gone() -> None:
    name = f"s3://{uuid.uuid4().hex}"
    assert fetch_tags(name, HERE) == TagsUnavailable(gone=True)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("status", "code", "answer"),
    [
        (403, "AccessDenied", TagsUnavailable(denied=True)),
        (404, "NoSuchTagSet", {}),
        (404, "NoSuchBucket", TagsUnavailable(gone=True)),
        (503, "SlowDown", TagsUnavailable()),
    ],
)
def test_tags_of_a_bucket_that_cannot_be_read_say_why(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, answer: object
) -> None:
    body = f"<Error><Code>{code}</Code></Error>".encode()
    with answering((status, body)) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        assert fetch_tags("s3://my-logs", HERE) == answer


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("ResourceNotFoundException", TagsUnavailable(gone=True)),
        ("AccessDeniedException", TagsUnavailable(denied=True)),
        ("UnrecognizedClientException", TagsUnavailable(denied=True)),
        ("ServiceUnavailableException", TagsUnavailable()),
    ],
)
def test_tags_that_cannot_be_read_say_why(
    monkeypatch: pytest.MonkeyPatch, code: str, answer: TagsUnavailable
) -> None:
    for name, operation in (("/g", "ListTagsForResource"), ("/g#1", "ListTagsLogGroup")):
        with answering((400, f'{{"__type":"{code}"}}'.encode())) as (url, asked):
            monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", url)
            assert fetch_tags(name, HERE) == answer
        assert asked == [f"Logs_20140328.{operation}"]


def test_secrets_of_both_stores_are_cached_unless_fresh_ones_are_wanted(here: LocalAws) -> None:
    name = f"/loki/{uuid.uuid4().hex}"
    ssm, manager = here.client("ssm"), here.client("secretsmanager")
    ssm.put_parameter(Name=name, Value="one", Type="SecureString")
    arn = manager.create_secret(Name=name, SecretString="two")["ARN"]
    assert [fetch_secret(name), fetch_secret(arn)] == ["one", "two"]
    ssm.put_parameter(Name=name, Value="three", Type="SecureString", Overwrite=True)
    assert [fetch_secret(name), fetch_secret(name, fresh=True)] == ["one", "three"]


@pytest.mark.usefixtures("here")
def test_a_failed_read_or_write_is_an_error_without_the_name_of_the_object() -> None:
    with pytest.raises(SettingsError, match="cannot be read") as read:
        fetch_secret("/hunter2")
    assert "hunter2" not in str(read.value)
    with pytest.raises(DeadLetterError, match="NoSuchBucket"):
        put_object("none", "key", b"{}")


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[str]]]:
    """Run a server that gives these answers, the last one again and again, and lists targets."""
    asked: list[str] = []

    class Connection(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = answers[min(len(asked), len(answers) - 1)]
            asked.append(self.headers.get("X-Amz-Target", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the base class decides the names

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Connection) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


DENIED = b'{"__type":"com.amazonaws#AccessDeniedException","message":"hunter2"}'


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("answers", "code", "calls"),
    [
        ([(400, DENIED)], "AccessDeniedException", 1),
        ([(400, b'{"__type":"ThrottlingException"}')], "ThrottlingException", 2),
        ([(500, b"no")], "500", 2),
        ([(302, b"")], "302", 1),
        ([(200, b"<html>")], "", 1),
        ([(400, b"[]")], "400", 1),
    ],
)
def test_an_error_has_a_code_and_a_call_that_may_succeed_later_is_retried(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[tuple[int, bytes]],
    code: str,
    calls: int,
) -> None:
    with answering(*answers) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", url)
        with pytest.raises(AwsError) as refused:
            TWICE.call("ssm", "GetParameter", {"Name": "n"})
    assert (refused.value.code, len(asked)) == (code, calls)
    assert "hunter2" not in repr(refused.value)


@pytest.mark.usefixtures("here")
def test_a_second_attempt_may_succeed(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering((500, b"no"), (200, b'{"a":1}')) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", url)
        assert TWICE.call("ssm", "GetParameter", {"Name": "n"}) == {"a": 1}
    assert asked == ["AmazonSSM.GetParameter"] * 2


@pytest.mark.usefixtures("here")
def test_a_port_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", closed())
    assert fetch_tags("/g", HERE) == TagsUnavailable()
    assert IndexReader("bucket")("1", "eu-central-1") == IndexUnchanged()
    with pytest.raises(DeadLetterError, match="AWS cannot be reached"):
        put_object("bucket", "key", b"{}")


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("service", ["s3", "ssm", "secretsmanager", "logs", "sqs"])
def test_endpoints_are_equal_to_those_of_botocore(service: str, region: str) -> None:
    client = boto3.client(
        service,  # type: ignore[call-overload] # of a name not known here
        region_name=region,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    expected = client.meta.endpoint_url
    if expected == "https://s3.amazonaws.com":
        # botocore keeps the Region's old name, from before the others were there.
        expected = "https://s3.us-east-1.amazonaws.com"
    assert endpoint(service, region) == expected


def test_a_bucket_is_in_the_host_name_if_the_certificate_covers_it() -> None:
    base = "s3.eu-central-1.amazonaws.com"
    assert object_url("b", "a b", "eu-central-1") == f"https://b.{base}/a%20b"
    assert object_url("b.c", "k", "eu-central-1") == f"https://{base}/b.c/k"
