"""Provides the function as it is deployed: built by `sam build`, run by Lambda's runtime."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from loki_shipper.local.progress import Tell
from loki_shipper.local.receiver import Receiver
from loki_shipper.local.runtime_api import ExecutionEnvironment, run_execution_environment
from tools.artifact import SamArtifact, build_artifact

HANDLER = "loki_shipper.shipper.handler.handle"

type Start = Callable[[Mapping[str, str]], AbstractContextManager[ExecutionEnvironment]]


@pytest.fixture(scope="session")
def artifact(tell: Tell) -> SamArtifact:
    """Return the output of `sam build` for this clone and this machine's processor."""
    if sys.platform != "linux":
        pytest.skip("what is deployed holds Linux programs, and this is none")
    return build_artifact(os.environ, tell)


@pytest.fixture(scope="session")
def start(artifact: SamArtifact) -> Start:
    """Run the built function with these settings, without access to the clone."""

    def start(env: Mapping[str, str]) -> AbstractContextManager[ExecutionEnvironment]:
        return run_execution_environment(
            HANDLER, paths=artifact.paths, cwd=artifact.function, env=env, alone=True
        )

    return start


@pytest.fixture
def environment(start: Start, receiver: Receiver) -> Iterator[ExecutionEnvironment]:
    """The built function, pushing to the receiver, without AWS."""
    with start({"LOKI_URL": receiver.url, "TAG_LABELS": "none"}) as environment:
        yield environment


@pytest.fixture
def artifact_without_boto3(artifact: SamArtifact, tmp_path: Path) -> Start:
    """Run the built function where importing boto3 or botocore fails."""
    for name in ("boto3", "botocore"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('it is slow to load')")

    def start(env: Mapping[str, str]) -> AbstractContextManager[ExecutionEnvironment]:
        paths = (tmp_path, *artifact.paths)
        return run_execution_environment(HANDLER, paths=paths, cwd=tmp_path, env=env, alone=True)

    return start
