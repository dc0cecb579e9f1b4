"""The function as it is deployed: built by `sam build`, run as Lambda runs it."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from loki_shipper.local.artifact import Artifact, build_artifact
from loki_shipper.local.progress import Tell
from loki_shipper.local.receiver import Receiver
from loki_shipper.local.runtime_api import Sandbox, run_sandbox

HANDLER = "loki_shipper.shipper.handler.handle"

type Start = Callable[[Mapping[str, str]], AbstractContextManager[Sandbox]]


@pytest.fixture(scope="session")
def artifact(tell: Tell) -> Artifact:
    """What `sam build` makes of this clone, for this machine's processor."""
    if sys.platform != "linux":
        pytest.skip("what is deployed holds Linux programs, and this is none")
    return build_artifact(os.environ, tell)


@pytest.fixture(scope="session")
def start(artifact: Artifact) -> Start:
    """Run the built function with these settings, and nothing of the clone within its reach."""

    def start(env: Mapping[str, str]) -> AbstractContextManager[Sandbox]:
        return run_sandbox(
            HANDLER, paths=artifact.paths, cwd=artifact.function, env=env, alone=True
        )

    return start


@pytest.fixture
def sandbox(start: Start, receiver: Receiver) -> Iterator[Sandbox]:
    """The built function, pushing to the receiver, without AWS."""
    with start({"LOKI_URL": receiver.url, "TAG_LABELS": "none"}) as sandbox:
        yield sandbox


@pytest.fixture
def artifact_without_boto3(artifact: Artifact, tmp_path: Path) -> Start:
    """Run the built function where importing boto3 or botocore fails."""
    for name in ("boto3", "botocore"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('it is slow to load')")

    def start(env: Mapping[str, str]) -> AbstractContextManager[Sandbox]:
        paths = (tmp_path, *artifact.paths)
        return run_sandbox(HANDLER, paths=paths, cwd=tmp_path, env=env, alone=True)

    return start
