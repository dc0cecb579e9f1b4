"""The service as a process: how it starts, answers and ends."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from loki_shipper.google.keep import REJECTED
from loki_shipper.google.storage import CloudStorage
from loki_shipper.local.receiver import Receiver, ScriptedAnswer
from tests.google.bucket import BUCKET
from tests.google.logged import EVENTS
from tests.google.processes import ServiceProcess, run_service
from tests.google.test_keep import REFUSAL

BODY = json.loads((EVENTS / "google-cloud-run.json").read_bytes())


@pytest.fixture
def service(receiver: Receiver, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service that pushes to the receiver, without a bucket."""
    with run_service({"LOKI_URL": receiver.url}, tmp_path / "service.log") as service:
        yield service


def post(url: str) -> int:
    return requests.post(url, json=BODY, timeout=60).status_code


def in_the_background(call: Callable[[], int]) -> Future[int]:
    return ThreadPoolExecutor(1).submit(call)


def test_an_entry_is_acknowledged_once_loki_has_it(
    service: ServiceProcess, receiver: Receiver
) -> None:
    assert post(service.url) == 204
    [(labels, entry)] = receiver.held()
    assert labels["service_name"] == "checkout"
    assert json.loads(entry.line)["message"] == "payment refused"
    assert entry.metadata["trace_id"] == "7d9f2c4b8a1e3f5d6c7b8a9f0e1d2c3b"


def test_requests_of_one_moment_share_pushes(service: ServiceProcess, receiver: Receiver) -> None:
    receiver.script(lambda _: ScriptedAnswer(delay=0.3))
    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(post, [service.url] * 40)) == {204}
    assert len(receiver.attempts) < 10


def test_after_sigterm_a_request_in_flight_is_still_answered(
    service: ServiceProcess, receiver: Receiver
) -> None:
    receiver.script([ScriptedAnswer(delay=1.0)])
    answer = in_the_background(lambda: post(service.url))
    receiver.wait_for_attempts(1)
    assert service.stop() == 0
    assert answer.result(10) == 204


def test_after_sigterm_a_loki_that_hangs_delays_the_end_no_longer_than_cloud_run_waits(
    service: ServiceProcess, receiver: Receiver
) -> None:
    receiver.script([ScriptedAnswer(delay=60.0)])
    answer = in_the_background(lambda: post(service.url))
    receiver.wait_for_attempts(1)
    began = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - began < 9.5
    assert answer.result(10) == 503


def test_what_it_has_shipped_is_in_the_log_when_it_ends(
    service: ServiceProcess, receiver: Receiver
) -> None:
    for _ in range(3):
        post(service.url)
    service.stop()
    log = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert sum(line.get("delivered", 0) for line in log) == len(receiver.attempts) == 3
    assert {line["severity"] for line in log} == {"INFO"}


def test_what_loki_refuses_is_in_the_bucket_before_the_answer(
    receiver: Receiver, storage: CloudStorage, storage_url: str, tmp_path: Path
) -> None:
    receiver.script(lambda _: ScriptedAnswer(400, REFUSAL.encode()))
    environ = {
        "LOKI_URL": receiver.url,
        "BUCKET": BUCKET,
        "STORAGE_EMULATOR_HOST": storage_url,
    }
    with run_service(environ, tmp_path / "service.log") as service:
        assert post(service.url) == 204
    assert len([*storage.objects(REJECTED)]) == 1


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "LOKI_URL is not set"),
        ({"LOKI_URL": "http://loki"}, "PUSH_AUDIENCE is not set, and VERIFY_PUSHES is on"),
        (
            {"LOKI_URL": "http://loki", "VERIFY_PUSHES": "off", "LOKI_SECRET": "name"},
            "LOKI_SECRET and names of certificates are of AWS",
        ),
    ],
)
def test_wrong_settings_end_it_with_one_line_of_the_log(environ: dict[str, str], says: str) -> None:
    command = [sys.executable, "-m", "loki_shipper.google"]
    path = {"PATH": os.environ["PATH"]}
    ended = subprocess.run(command, env=path | environ, capture_output=True, check=False)
    assert ended.returncode == 2
    [line] = ended.stdout.splitlines()
    assert json.loads(line)["severity"] == "CRITICAL"
    assert says in json.loads(line)["message"]
    assert ended.stderr == b""
