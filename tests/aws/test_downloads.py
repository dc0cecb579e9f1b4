"""Objects are streamed as S3 holds them, from any Region, over connections that break."""

import gzip
import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from threading import Thread
from typing import Any

import pytest
from msgspec import Struct

from loki_shipper.aws.boto import Bounds
from loki_shipper.aws.downloads import Downloads, is_gone
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.http import AwsHttp
from loki_shipper.local.aws import LocalAws
from loki_shipper.model import S3Object

HTTP = AwsHttp(None, Bounds(connect=1, read=1, attempts=1))
BODY = random.Random(1).randbytes(3_000_000)


def read(found: S3Object) -> bytes:
    return b"".join(Downloads(HTTP).open(found).chunks)


def test_an_object_comes_as_s3_holds_it_whatever_its_content_encoding(
    here: LocalAws, bucket: str
) -> None:
    key, body = "AWSLogs/größe/a b+c=d%&.log.gz", gzip.compress(BODY)
    here.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentEncoding="gzip")
    held = here.client("s3").head_object(Bucket=bucket, Key=key)
    download = Downloads(HTTP).open(S3Object(bucket, key))
    written = int(held["LastModified"].timestamp() * 1000)
    etag = held["ETag"].strip('"')
    assert download.found == S3Object(bucket, key, None, etag, len(body), written)
    assert b"".join(download.chunks) == body


def test_the_version_of_a_notification_is_read(here: LocalAws, bucket: str) -> None:
    s3 = here.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    one = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["VersionId"]
    two = s3.put_object(Bucket=bucket, Key="k", Body=b"two")["VersionId"]
    assert [read(S3Object(bucket, "k", each)) for each in (one, two, None)] == [
        *(b"one", b"two", b"two")
    ]
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    with pytest.raises(AwsError) as raised:
        read(S3Object(bucket, "k", marker))
    assert is_gone(raised.value)


def test_an_object_or_a_bucket_that_does_not_exist_is_gone(bucket: str) -> None:
    for found in (S3Object(bucket, "k"), S3Object(f"{bucket}-2", "k")):
        with pytest.raises(AwsError) as raised:
            read(found)
        assert is_gone(raised.value)


class Request(Struct, frozen=True):
    path: str
    host: str
    headers: dict[str, str]


class Broken(Struct):
    """A server that ends each connection after some bytes, and then serves the rest of `BODY`."""

    breaks_after: list[int]
    etag: str = '"one"'
    answers: tuple[tuple[int, dict[str, str], bytes], ...] = ()


@contextmanager
def serving(broken: Broken) -> Iterator[tuple[str, list[Request]]]:
    asked: list[Request] = []

    class Connection(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(Request(self.path, self.headers["Host"], dict(self.headers)))
            if len(asked) <= len(broken.answers):
                self._answer(*broken.answers[len(asked) - 1])
                return
            if (wanted := self.headers["If-Match"]) not in {None, broken.etag}:
                self._answer(412, {}, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            start = int((re.findall(r"bytes=(\d+)-", self.headers["Range"] or "") or [0])[0])
            assert (start == 0) == (wanted is None)
            self.send_response(206 if start else 200)
            self.send_header("ETag", broken.etag)
            self.send_header("Content-Length", str(len(BODY) - start))
            self.end_headers()
            end = start + broken.breaks_after.pop(0) if broken.breaks_after else len(BODY)
            with suppress(OSError):
                self.wfile.write(BODY[start:end])
            if end < len(BODY):
                self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Connection) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def s3(here: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a function that makes S3 such a server, for the rest of the test."""
    assert here
    stack: list[Any] = []

    def become(broken: Broken) -> list[Request]:
        server = serving(broken)
        url, asked = server.__enter__()
        stack.append(server)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        return asked

    yield become
    for server in stack:
        server.__exit__(None, None, None)


def test_a_connection_that_breaks_goes_on_at_the_next_byte(s3: Any) -> None:
    asked = s3(Broken([1_000_000, 1, 700_000]))
    assert read(S3Object("my-logs", "k")) == BODY
    ranges = [request.headers.get("Range") for request in asked]
    assert ranges == [None, "bytes=1000000-", "bytes=1000001-", "bytes=1700001-"]
    assert {request.headers.get("If-Match") for request in asked[1:]} == {'"one"'}
    assert all("range" in each.headers["Authorization"] for each in asked[1:])


def test_an_object_that_is_replaced_in_between_is_gone(s3: Any) -> None:
    broken = Broken([600_000])
    s3(broken)
    download = Downloads(HTTP).open(S3Object("my-logs", "k"))
    found = [next(download.chunks)]
    broken.etag = '"two"'
    with pytest.raises(AwsError) as raised:
        found.extend(download.chunks)
    assert is_gone(raised.value)
    assert b"".join(found) == BODY[:600_000]


def test_connections_that_break_without_a_byte_end_the_download(s3: Any) -> None:
    asked = s3(Broken([1000, *[0] * 20]))
    found: list[bytes] = []
    with pytest.raises(AwsError, match="breaks the connection"):
        found.extend(Downloads(HTTP).open(S3Object("my-logs", "k")).chunks)
    assert (b"".join(found), len(asked)) == (BODY[:1000], 6)


REDIRECT = (301, {"x-amz-bucket-region": "eu-west-2"}, b"<Code>PermanentRedirect</Code>")
WRONG = (400, {"x-amz-bucket-region": "eu-west-2"}, b"<Code>AuthorizationHeaderMalformed</Code>")


@pytest.mark.parametrize("answer", [REDIRECT, WRONG])
def test_a_bucket_of_another_region_is_asked_there_from_then_on(s3: Any, answer: Any) -> None:
    asked = s3(Broken([], answers=(answer,)))
    downloads = Downloads(HTTP)
    for _ in range(2):
        assert b"".join(downloads.open(S3Object("my-logs", "k")).chunks) == BODY
    regions = [request.headers["Authorization"].split("/")[2] for request in asked]
    assert regions == ["eu-central-1", "eu-west-2", "eu-west-2"]


def test_a_region_that_is_no_name_is_not_asked(s3: Any) -> None:
    asked = s3(Broken([], answers=((301, {"x-amz-bucket-region": "evil.example/"}, b""),)))
    with pytest.raises(AwsError):
        read(S3Object("my-logs", "k"))
    assert len(asked) == 1


def test_the_requester_pays_and_the_version_is_signed(s3: Any) -> None:
    asked = s3(Broken([5]))
    assert read(S3Object("my-logs", "a/b", "v=1/2")) == BODY
    assert {each.path for each in asked} == {"/my-logs/a/b?versionId=v%3D1%2F2"}
    for each in asked:
        assert each.headers["x-amz-request-payer"] == "requester"
        assert "x-amz-request-payer" in each.headers["Authorization"]


KMS = b"<Code>AccessDenied</Code><Message>hunter2 is not authorized to perform: kms:Decrypt on"


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (403, b"<Code>AccessDenied</Code><Message>hunter2", "denied", "AccessDenied"),
        (403, KMS, "denied", "kms"),
        (403, b"<Code>InvalidObjectState</Code>", "refused", "InvalidObjectState"),
        (503, b"<Code>SlowDown</Code>", "throttled", "SlowDown"),
    ],
)
def test_a_refusal_has_a_kind_and_says_if_the_key_refuses(
    s3: Any, status: int, body: bytes, kind: str, said: str
) -> None:
    s3(Broken([], answers=((status, {}, body),)))
    with pytest.raises(AwsError) as raised:
        read(S3Object("my-logs", "k"))
    assert (raised.value.kind, str(raised.value)) == (kind, said)


def test_a_download_that_is_given_up_closes_its_connection(s3: Any) -> None:
    asked = s3(Broken([]))
    chunks = Downloads(HTTP).open(S3Object("my-logs", "k")).chunks
    first = next(chunks)
    chunks.close()  # type: ignore[attr-defined] # it is a generator
    again = b"".join(chain([first], Downloads(HTTP).open(S3Object("my-logs", "k")).chunks))
    assert len(again) == len(first) + len(BODY)
    assert len(asked) == 2
