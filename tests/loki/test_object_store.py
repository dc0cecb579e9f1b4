"""The Loki of docker-compose.yaml, without Docker: its configuration on an S3 of this machine."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.demo import DemoDestination, run_demo
from loki_shipper.local.find_loki import Executable, NotFound, find_executable
from loki_shipper.local.loki import Loki
from loki_shipper.local.progress import Tell
from loki_shipper.local.query_loki import LokiLine, query_range
from tests.conftest import not_here

CONFIG = Path(__file__).resolve().parents[2] / "compose" / "loki" / "loki.yaml"
QUERY = '{driver="python", name=~"fun.*"}'


@pytest.fixture(scope="module")
def executable(tell: Tell) -> Executable:
    """A Loki that is a file."""
    match find_executable(os.environ, tell):
        case Executable() as found:
            return found
        case NotFound(why):
            not_here(why)
    raise AssertionError


@pytest.fixture
def bucket(aws: LocalAws, tmp_path: Path) -> str:
    """An empty bucket of a name of its own."""
    name = f"loki-{tmp_path.name.replace('_', '-')}"[:60].rstrip("-").lower()
    aws.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    return name


@contextmanager
def running(
    executable: Executable, directory: Path, aws: LocalAws, bucket: str, tell: Tell
) -> Iterator[Loki]:
    """Start it as the container does, but for addresses and paths, which flags overrule."""
    directory.mkdir()
    http, grpc = free_port(), free_port()
    flags = (
        "-config.expand-env=true",
        "-server.http-listen-address=127.0.0.1",
        f"-server.http-listen-port={http}",
        "-server.grpc-listen-address=127.0.0.1",
        f"-server.grpc-listen-port={grpc}",
        f"-querier.frontend-address=127.0.0.1:{grpc}",
        "-ingester.min-ready-duration=0s",
        "-ingester.final-sleep=0s",
        f"-common.path-prefix={directory}/data",
    )
    environ = os.environ | {
        "S3_ENDPOINT": aws.url.removeprefix("http://"),
        "S3_BUCKET": bucket,
        "S3_REGION": aws.region,
    }
    with (directory / "loki.log").open("wb") as log:
        process = subprocess.Popen(
            [executable.path, f"-config.file={CONFIG}", *flags],
            cwd=directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    loki = Loki(f"http://127.0.0.1:{http}", process, directory)
    try:
        loki.wait_until_ready(60, tell)
        yield loki
    finally:
        loki.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_demos_lines_are_found_after_a_flush_and_a_restart_without_the_disk(
    executable: Executable, aws: LocalAws, bucket: str, tmp_path: Path, tell: Tell
) -> None:
    began = time.time_ns()
    with running(executable, tmp_path / "before", aws, bucket, tell) as loki:
        to = DemoDestination(loki.url, "", lambda start, end: query(loki, start, end))
        outcome = run_demo(to, None, seconds=2, tell=tell)
        assert outcome.is_complete
        assert requests.post(f"{loki.url}/flush", timeout=10).status_code == 204
    keys = [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    assert any(key.startswith("fake/") for key in keys)
    assert any(key.startswith("index/") for key in keys)
    # What is found now is in the object store, or nowhere.
    shutil.rmtree(tmp_path / "before")
    with running(executable, tmp_path / "after", aws, bucket, tell) as loki:
        assert query(loki, began, time.time_ns()) == outcome.held


def query(loki: Loki, start: int, end: int) -> list[LokiLine]:
    return query_range(loki.url, QUERY, start_ns=start, end_ns=end, limit=5000)
