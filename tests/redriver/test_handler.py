"""The redriver's entry, where what it needs is denied or gone: it fails, and the objects stay."""

import uuid

import boto3
import pytest

from loki_shipper.environment import SettingsError
from loki_shipper.local.aws import LocalAws
from loki_shipper.local.receiver import Receiver
from loki_shipper.redriver.bucket import BucketError
from loki_shipper.redriver.handler import handle
from loki_shipper.shipper.rules.file import _s3
from loki_shipper.shipper.rules.model import RulesError
from tests.redriver.memory import failed


class Context:
    """What Lambda tells the function of an invocation."""

    def __init__(self) -> None:
        name = f"redriver-{uuid.uuid4().hex}"
        self.invoked_function_arn = f"arn:aws:lambda:eu-central-1:123456789012:function:{name}"

    def get_remaining_time_in_millis(self) -> int:
        return 290_000


class Deployed:
    """A bucket in which an object waits, and the function beside it."""

    def __init__(self, aws: LocalAws, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        self._s3 = aws.client("s3")
        self._receiver = receiver
        self._environ = aws.environ | {"LOKI_URL": receiver.url, "TAG_LABELS": "none"}
        self._monkeypatch = monkeypatch
        self.bucket = f"bucket-{uuid.uuid4().hex}"
        location = {"LocationConstraint": aws.region}
        self._s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration=location)
        key, body = failed("09.00.00")
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def redrive(self, **environ: str) -> None:
        """Invoke the function in an execution environment that is new."""
        for name, value in (self._environ | {"BUCKET": self.bucket} | environ).items():
            self._monkeypatch.setenv(name, value.format(bucket=self.bucket))
        boto3.setup_default_session()
        _s3.cache_clear()
        handle({}, Context())

    def keys(self) -> list[str]:
        found = self._s3.list_objects_v2(Bucket=self.bucket)
        return [each["Key"] for each in found.get("Contents", [])]

    def held(self) -> list[str]:
        return [entry.line for _, entry in self._receiver.held()]


@pytest.fixture
def deployed(aws: LocalAws, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    return Deployed(aws, receiver, monkeypatch)


def test_with_all_it_needs_it_ships_what_waits(deployed: Deployed) -> None:
    deployed.redrive()
    assert (deployed.held(), deployed.keys()) == (["a line"], [])


@pytest.mark.parametrize(
    ("environ", "error"),
    [
        ({"RULES": "s3://{bucket}/no-rules.toml"}, RulesError),
        ({"LOKI_SECRET": "/no/such/parameter"}, SettingsError),
        ({"BUCKET": "{bucket}x"}, BucketError),
        ({"BUCKET": ""}, SettingsError),
    ],
    ids=["rules", "secret", "bucket", "no bucket"],
)
def test_without_it_nothing_is_shipped_and_nothing_lost(
    deployed: Deployed, environ: dict[str, str], error: type[Exception]
) -> None:
    """Rules redact, so nothing goes past them; the alarm RedriverFails says so."""
    before = deployed.keys()
    with pytest.raises(error):
        deployed.redrive(**environ)
    assert (deployed.keys(), deployed.held()) == (before, [])
