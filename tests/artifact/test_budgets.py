"""Imports, pushes and bytes cost money and stay below limits. `scripts/bench` measures times."""

import os
import subprocess
import sys

import pytest

from loki_shipper.local.receiver import Receiver
from loki_shipper.local.runtime_api import ExecutionEnvironment, Response
from tools.artifact import SamArtifact
from tools.bench.payloads import payload

MODULES = 180
"""Of ours and of the layer, not of the standard library. 177 since the shipper has inner rooms."""

BYTES_AN_EVENT = {1: 500, 100: 90, 10_000: 62}
"""After compression, for lines of 200 bytes; measured 469, 81 and 59."""


@pytest.fixture(scope="module")
def loaded(artifact: SamArtifact) -> set[str]:
    command = "import sys, loki_shipper.shipper.handler; print(*sys.modules)"
    paths = os.pathsep.join(map(str, artifact.paths))
    env = {"PYTHONPATH": paths, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}
    done = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", command],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return {*done.stdout.split()}


@pytest.fixture(scope="module")
def imported(loaded: set[str]) -> set[str]:
    return {name for name in loaded if top(name) not in sys.stdlib_module_names}


def top(name: str) -> str:
    return name.partition(".")[0]


def test_init_imports_no_more_than_its_budget(imported: set[str]) -> None:
    assert len(imported) <= MODULES, sorted(imported)


def test_init_imports_no_slow_module_that_is_rarely_needed(imported: set[str]) -> None:
    slow = {"boto3", "botocore", "charset_normalizer", "google.protobuf", "re2"}
    assert not imported & slow


def test_init_imports_nothing_slow_of_the_standard_library(loaded: set[str]) -> None:
    """requests, urllib3 and certifi import these modules for cases that do not occur here."""
    assert not loaded & {"importlib.metadata", "importlib.resources", "inspect", "tomllib"}


@pytest.mark.parametrize("events", BYTES_AN_EVENT)
def test_a_log_event_costs_few_bytes(
    environment: ExecutionEnvironment, receiver: Receiver, events: int
) -> None:
    answer = environment.invoke(payload(events).body)
    assert isinstance(answer, Response)
    assert sum(len(push.entries) for push in receiver.pushes) == events
    pushed = sum(len(push.body) for push in receiver.pushes)
    assert pushed <= BYTES_AN_EVENT[events] * events


@pytest.mark.parametrize(("events", "pushes"), [(1, 1), (1_000, 1), (10_000, 3)])
def test_a_payload_takes_as_few_pushes_as_a_megabyte_each_allows(
    environment: ExecutionEnvironment, receiver: Receiver, events: int, pushes: int
) -> None:
    answer = environment.invoke(payload(events).body)
    assert isinstance(answer, Response)
    assert len(receiver.pushes) == pushes
