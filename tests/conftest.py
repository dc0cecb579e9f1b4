"""What several levels share: a real Loki, a Loki that obeys a script, and AWS, all on loopback."""

import json
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import hypothesis
import pytest
import requests

from loki_shipper.canary.measure import CanaryReport, arrival_metrics
from loki_shipper.canary.measure import metrics as canary_metrics
from loki_shipper.google.storage import CloudStorage, open_storage
from loki_shipper.local.aws import LocalAws, run_aws
from loki_shipper.local.find_loki import Executable, Found, Image, NotFound, Running, find_loki
from loki_shipper.local.loki import Loki, Profile, start
from loki_shipper.local.progress import Tell, on_stream
from loki_shipper.local.receiver import Receiver, run_receiver
from loki_shipper.model import S3Object
from loki_shipper.redriver.metrics import metrics as redriver_metrics
from loki_shipper.redriver.report import RedriveReport
from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper
from loki_shipper.shipper.sources.notifications import write_notification
from loki_shipper.subscriber.run.report import RunReport as Linked
from loki_shipper.subscriber.run.report import metrics as subscriber_metrics
from loki_shipper.subscriber.self_audit import AuditReport, audit_metrics
from tests.google.bucket import BUCKET, run_storage

# No stopwatch: a deadline says more of the machine than of the code.
hypothesis.settings.register_profile("here", deadline=None, max_examples=60)
hypothesis.settings.load_profile("here")

EVENTS = Path(__file__).resolve().parents[1] / "events"
SWEEP = Linked(
    seen=2,
    linked=1,
    put=1,
    deleted=0,
    skipped={},
    failed=[],
    caught_up=0,
    behind=[],
    given_up=[],
    waiting=0,
    left=0,
    complete=True,
    policy_failure=None,
)

AUDIT = AuditReport(
    log_groups=1,
    audited=1,
    compared=1,
    lines=1,
    missing=0,
    rejected=0,
    waiting=0,
    loki="",
    differences=[],
    notes=[],
)


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Tell:
    """Say what takes long past pytest's capture: a first build of Loki takes minutes."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    to_terminal = on_stream()

    def tell(text: str) -> None:
        with capture.global_and_fixture_disabled():
            to_terminal(text)

    return tell


@pytest.fixture(scope="session")
def loki(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> Iterator[Loki | Running]:
    """A real Loki that takes lines of any age and amount; `LOKI_URL` may name another one."""
    found = find_loki(os.environ, tell)
    if isinstance(found, Running):
        if requests.get(f"{found.url}/loki/api/v1/labels", timeout=10).ok:
            pytest.fail("LOKI_URL must keep tenants apart: try scripts/loki --profile open")
        yield found
    else:
        yield from _run(found, tmp_path_factory.mktemp("loki"), "open", tell)


@pytest.fixture(scope="session")
def stock_loki(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> Iterator[Loki]:
    """A real Loki with stock limits and the faulty tenants of `loki-fault-tenants.yaml`."""
    ours = {name: value for name, value in os.environ.items() if name != "LOKI_URL"}
    found = find_loki(ours, tell)
    yield from _run(found, tmp_path_factory.mktemp("stock-loki"), "stock", tell)


def _run(found: Found, directory: Path, profile: Profile, tell: Tell) -> Iterator[Loki]:
    match found:
        case Executable() | Image():
            with start(found, directory, profile=profile, tell=tell) as loki:
                yield loki
        case NotFound(why):
            not_here(why)
        case Running():
            raise AssertionError


def not_here(why: str) -> None:
    """Skip a test that cannot run here, or fail if every test is required."""
    if os.environ.get("CI") or os.environ.get("REQUIRE_LOKI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test sees, in this run or another."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def exact_tenant(loki: Loki | Running, tenant: str) -> str:
    """A tenant to whose streams and entries Loki adds nothing of its own."""
    if isinstance(loki, Running):
        not_here("LOKI_URL is set, and only a Loki of our own gives a tenant limits.")
    else:
        loki.override(tenant, {"discover_service_name": [], "discover_log_levels": False})
    return tenant


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A stand-in for Loki that answers from a script."""
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    """An AWS of this machine, which is empty when the test begins."""
    with run_aws() as aws:
        yield aws


@pytest.fixture
def here(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAws]:
    """An AWS of this machine, which the environment names."""
    for name, value in aws.environ.items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    yield aws
    boto3.setup_default_session()


@pytest.fixture
def bucket(here: LocalAws) -> str:
    """An empty bucket on the AWS `here`."""
    name = f"bucket-{uuid.uuid4().hex}"
    here.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": here.region}
    )
    return name


@pytest.fixture
def storage_url() -> Iterator[str]:
    """The address of a Cloud Storage of this machine, with an empty bucket."""
    with run_storage() as url:
        yield url


@pytest.fixture
def storage(storage_url: str) -> CloudStorage:
    """The bucket."""
    return open_storage(BUCKET, {"STORAGE_EMULATOR_HOST": storage_url})


@pytest.fixture
def measured(receiver: Receiver, capsys: pytest.CaptureFixture[str]) -> set[tuple[str, str, str]]:
    """Namespace, service and name of each metric of the functions."""
    environ = {"LOKI_URL": receiver.url, "TAG_LABELS": "none", "STACK": "ours"}
    environment = Shipper(settings(environ), "")
    environment.ship(json.loads((EVENTS / "lambda.json").read_text("utf-8")), lambda: 10.0)
    notified = write_notification([S3Object("not-listed", "key")], 0)
    messages = {"messageId": "1", "body": notified, "eventSource": "aws:sqs", "eventSourceARN": ""}
    environment.ship({"Records": [messages]}, lambda: 10.0)
    own = {
        (directive["Namespace"], record["service"], metric["Name"])
        for record in map(json.loads, capsys.readouterr().out.splitlines())
        if "_aws" in record
        for directive in record["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
        if {*directive["Dimensions"][0]} == {"service", "stack"} and record["stack"] == "ours"
    }
    redriven = redriver_metrics(RedriveReport(), now=datetime.now(UTC))
    canary = [*canary_metrics(CanaryReport()), *arrival_metrics(1.0)]
    return (
        own
        | {("LokiShipper", "canary", name) for name, *_ in canary}
        | {("LokiShipper", "loki-shipper", name) for name, *_ in redriven}
        | {("LokiShipper", "subscriber", name) for name, *_ in subscriber_metrics(SWEEP)}
        | {("LokiShipper", "subscriber", name) for name, *_ in audit_metrics(AUDIT)}
    )
