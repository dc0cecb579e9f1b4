"""The built function reports what is wrong with an event, and goes on working."""

import base64
import gzip
import json
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.receiver import Receiver, run_receiver
from loki_shipper.local.runtime_api import ExecutionEnvironment, FunctionError, Response
from loki_shipper.local.sample import from_lines, invocation_event

type Start = Callable[[Mapping[str, str]], AbstractContextManager[ExecutionEnvironment]]

MEGABYTE = 1_000_000


def event(data: bytes) -> dict[str, Any]:
    return {"awslogs": {"data": base64.b64encode(data).decode()}}


def zipped(value: object) -> dict[str, Any]:
    return event(gzip.compress(json.dumps(value).encode()))


def bomb() -> dict[str, Any]:
    """Make 1 MB of event that unpacks to 800 MB of zeros."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    zeros = bytes(MEGABYTE)
    parts = [packer.compress(zeros) for _ in range(800)]
    return event(b"".join(parts) + packer.flush())


WHOLE = {
    "messageType": "DATA_MESSAGE",
    "owner": "123456789012",
    "logGroup": "group",
    "logStream": "stream",
    "subscriptionFilters": ["filter"],
    "logEvents": [{"id": "1", "timestamp": 1_800_000_000_000, "message": "line"}],
}

BAD = {
    "no record": {},
    "a list": [],
    "another service's event": {"Records": [{"eventSource": "aws:s3"}]},
    "not base64": {"awslogs": {"data": "*** not base64 ***"}},
    "not gzip": event(b"not gzip"),
    "gzip cut short": event(gzip.compress(b"{" * 1000)[:-20]),
    "not JSON": event(gzip.compress(b"not JSON")),
    "JSON nested without end": event(gzip.compress(b"[" * MEGABYTE)),
    "a field missing": zipped({name: WHOLE[name] for name in WHOLE if name != "logEvents"}),
    "a field of another type": zipped(WHOLE | {"logEvents": "none"}),
    "gzip bomb": bomb(),
}


def good() -> dict[str, Any]:
    now = int(time.time() * 1000)
    return invocation_event(from_lines(["good"], log_group="g", log_stream="s", newest=now))


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def environment(start: Start, receiver: Receiver) -> Iterator[ExecutionEnvironment]:
    """One function gets all of the events, because it must survive all of them."""
    with start({"LOKI_URL": receiver.url, "TAG_LABELS": "none"}) as environment:
        yield environment


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_without_a_bucket_it_fails_with_a_reason_and_serves_the_next(
    environment: ExecutionEnvironment, receiver: Receiver, bad: object
) -> None:
    receiver.reset()
    error = environment.invoke(bad)
    assert isinstance(error, FunctionError)
    assert error.error_type == "DeliveryError"
    assert error.error_message
    assert receiver.attempts == []

    assert isinstance(environment.invoke(good()), Response)
    assert [entry.line for push in receiver.pushes for entry in push.entries] == ["good"]
    assert environment.peak_rss is not None
    assert environment.peak_rss < 256 * MEGABYTE


def test_with_a_bucket_the_event_is_kept_unchanged(
    start: Start, aws: LocalAws, receiver: Receiver
) -> None:
    receiver.reset()
    bucket = f"bucket-{uuid.uuid4().hex}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
    env = aws.environ | {"LOKI_URL": receiver.url, "TAG_LABELS": "none", "BUCKET": bucket}
    with start(env) as environment:
        for bad in BAD.values():
            assert isinstance(environment.invoke(bad), Response)
        assert isinstance(environment.invoke(good()), Response)
        peak = environment.peak_rss
    assert peak is not None
    assert peak < 256 * MEGABYTE
    objects = s3.list_objects_v2(Bucket=bucket, Prefix="rejected/")["Contents"]
    records = [json.load(s3.get_object(Bucket=bucket, Key=o["Key"])["Body"]) for o in objects]
    kept = [record["requestPayload"] for record in records]
    assert sorted(map(json.dumps, kept)) == sorted(map(json.dumps, BAD.values()))
    assert len(receiver.pushes) == 1
