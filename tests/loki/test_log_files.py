"""Log files of each type, from S3 to a real Loki, where they are found by time and label."""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote_plus

import boto3
import pytest
from msgspec import Struct

from loki_shipper.local.aws import LocalAws, run_aws
from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import LokiLine, query_range
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.outcome import Report
from loki_shipper.shipper.shipper import Shipper
from tests.shipper.log_files.samples import SAMPLES, Sample
from tests.shipper.log_files.test_presets import EXPECTED

BUCKET = "my-logs"
OWN_BUCKET = "loki-shipper-bucket"
FUNCTION = "arn:aws:lambda:eu-central-1:999999999999:function:loki-shipper-LogFilesFunction"
TENANT = f"log-files-{datetime.now(UTC).timestamp()}"
DAY = datetime.now(UTC).date() - timedelta(days=1)
"""Yesterday: Loki takes lines of any date, but no object is written before its lines."""

SHIFT = (DAY - datetime(2026, 11, 20, tzinfo=UTC).date()).days * 86_400
MS = 1_000_000


def as_of_yesterday(body: bytes) -> bytes:
    """Move the times in a sample by whole days."""

    def later(found: re.Match[bytes]) -> bytes:
        return b"%d" % (int(found[0]) + SHIFT * (1 if len(found[0]) == 10 else 1000))

    body = re.sub(rb"\b1795206\d{3}(?:\d{3})?\b", later, body)
    body = body.replace(b"20/Nov/2026", f"{DAY:%d/%b/%Y}".encode())
    return body.replace(b"2026-11-20", DAY.isoformat().encode())


def notified(key: str) -> dict[str, object]:
    """Give the message of a queue about an object, as S3 writes it."""
    s3 = {"bucket": {"name": BUCKET}, "object": {"key": quote_plus(key, safe="/")}}
    record = {"eventName": "ObjectCreated:Put", "awsRegion": "eu-central-1", "s3": s3}
    body = json.dumps({"Records": [record | {"eventSource": "aws:s3"}]})
    queue = "arn:aws:sqs:eu-central-1:999999999999:log-files"
    attributes = {"ApproximateReceiveCount": "1"}
    return {
        "messageId": key,
        "body": body,
        "attributes": attributes,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue,
        "awsRegion": "eu-central-1",
    }


class Shipped(Struct, frozen=True):
    """The reports on the samples, and when S3 says that they were written, in ms."""

    url: str
    reports: list[Report]
    written: dict[str, int]

    def lines(self, sample: Sample, start: int = 0, end: int = 2 * 86_400_000) -> list[LokiLine]:
        """Ask for lines of a sample between two times of yesterday, in ms."""
        midnight = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp() * 1000)
        key = json.dumps(sample.found.key)
        return query_range(
            self.url,
            f'{{source="s3", bucket="{BUCKET}", log_type="{sample.type}"}} | log_stream={key}',
            start_ns=(midnight + start) * MS,
            end_ns=(midnight + end) * MS,
            tenant=TENANT,
        )


def put(aws: LocalAws, sample: Sample) -> int:
    body = as_of_yesterday(sample.body)
    packed = gzip.compress(body) if sample.found.key.endswith(".gz") else body
    s3 = aws.client("s3")
    s3.put_object(Bucket=BUCKET, Key=sample.found.key, Body=packed)
    written = s3.head_object(Bucket=BUCKET, Key=sample.found.key)["LastModified"]
    return int(written.timestamp() * 1000)


@pytest.fixture(scope="module")
def shipped(loki: Loki | Running) -> Iterator[Shipped]:
    """Ship every sample twice, as S3 may notify twice."""
    with run_aws() as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environ.items():
            patch.setenv(name, value)
        boto3.setup_default_session()
        s3 = aws.client("s3")
        for bucket in (BUCKET, OWN_BUCKET):
            s3.create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region}
            )
        tags = [{"Key": "team", "Value": "payments"}]
        s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": tags})
        written = {name: put(aws, sample) for name, sample in SAMPLES.items()}
        environ = {
            "LOKI_URL": loki.url,
            "LOKI_TENANT": TENANT,
            "LOG_BUCKETS": BUCKET,
            "BUCKET": OWN_BUCKET,
        }
        reports = []
        for _ in range(2):
            shipper = Shipper(settings(environ), FUNCTION)
            for sample in SAMPLES.values():
                event = {"Records": [notified(sample.found.key)]}
                reports.append(shipper.ship(event, lambda: 60.0))
        yield Shipped(loki.url, reports, written)
    boto3.setup_default_session()


def millisecond(expected: str) -> int:
    """Give the time of day of a line of `expected_of_samples.txt`, in ms."""
    time = datetime.strptime(expected[:12], "%H:%M:%S.%f")  # noqa: DTZ007 - a time of day
    return (time.hour * 3600 + time.minute * 60 + time.second) * 1000 + time.microsecond // 1000


def pairs(expected: str) -> dict[str, str]:
    return dict(re.findall(r"(?<= )([a-z_]+)=(.*?)(?= [a-z_]+=|$)", expected[12:]))


@pytest.mark.parametrize("name", SAMPLES)
def test_the_lines_of_a_log_file_are_held_once_with_their_fields(
    shipped: Shipped, name: str
) -> None:
    sample = SAMPLES[name]
    found = shipped.lines(sample)
    logged = [
        event.message
        for event in sample.reader().events(0, [as_of_yesterday(line) for line in sample.lines()])
    ]
    assert sorted(line.line for line in found) == sorted(logged)
    expected = dict(zip(logged, EXPECTED[name], strict=True))
    for line in found:
        fields = pairs(expected[line.line])
        known = {key: value for key, value in line.metadata.items() if key in fields}
        assert known == fields
        assert line.metadata["log_stream"] == sample.found.key


@pytest.mark.parametrize("name", SAMPLES)
def test_a_line_is_found_at_the_millisecond_that_it_names(shipped: Shipped, name: str) -> None:
    sample = SAMPLES[name]
    if name == "config-snapshot":
        times = {line.timestamp // MS for line in shipped.lines(sample)}
        assert times == {shipped.written[name]}
        return
    for expected in EXPECTED[name]:
        at = millisecond(expected)
        same = [each for each in EXPECTED[name] if millisecond(each) == at]
        assert len(shipped.lines(sample, at, at + 1)) == len(same)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_log_file_has_the_labels_of_its_key_and_the_tags_of_its_bucket(
    shipped: Shipped, name: str
) -> None:
    sample = SAMPLES[name]
    expected = {
        "account_id": sample.account or "999999999999",
        "bucket": BUCKET,
        "log_type": sample.type,
        "region": sample.region or "eu-central-1",
        "service_name": sample.resource or sample.type,
        "source": "s3",
        "team": "payments",
    } | ({"resource": sample.resource} if sample.resource else {})
    for line in shipped.lines(sample):
        labels = line.labels.keys() - line.metadata.keys() - {"late"}
        assert {key: line.labels[key] for key in labels} == expected


def test_each_line_of_each_file_was_delivered(shipped: Shipped) -> None:
    assert [each.failure for each in shipped.reports] == [None] * 2 * len(SAMPLES)
    assert all(each.delivered == each.received > 0 for each in shipped.reports)
