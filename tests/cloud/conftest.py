"""Provides LocalStack as an AWS, for tests of a stack's life from creation to deletion.

A test takes `cloud` and `built`, and makes a `Stack` in a Region that no other test uses. It need
not clean up.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from loki_shipper.local.find_loki import Executable, Image, NotFound, Running, find_loki
from loki_shipper.local.progress import Tell
from tests.cloud.cloud import Cloud, CloudError, find_python, run_cloud
from tests.conftest import not_here
from tools.artifact import SamArtifact, SamBuildError, build_artifact
from tools.loki_with_outages import LokiWithOutages, run_loki_with_outages


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> Iterator[Cloud]:
    """Return an AWS on this machine. Without it, skip the test, or fail if REQUIRE_CLOUD is set."""
    directory = tmp_path_factory.mktemp("cloud")
    try:
        python = find_python(os.environ, tell)
        with run_cloud(python, directory, tell=tell) as cloud:
            yield cloud
    except CloudError as error:
        no_cloud(str(error))


@pytest.fixture(scope="session")
def built(tell: Tell) -> SamArtifact:
    """Return the output of `sam build` for this clone and this machine's processor."""
    try:
        return build_artifact(os.environ, tell)
    except SamBuildError as error:
        no_cloud(str(error))


@pytest.fixture
def outages(tmp_path: Path, tell: Tell) -> Iterator[LokiWithOutages]:
    """A real Loki of the test's own, which it may stop and start."""
    environ = {name: value for name, value in os.environ.items() if name != "LOKI_URL"}
    match find_loki(environ, tell):
        case NotFound(why):
            not_here(why)
        case Running():
            raise AssertionError
        case Executable() | Image() as found:
            with run_loki_with_outages(found, tmp_path / "loki", tell) as loki:
                loki.start()
                yield loki


def no_cloud(why: str) -> NoReturn:
    """Skip a test that cannot run here, or fail if every test is required."""
    if os.environ.get("CI") or os.environ.get("REQUIRE_CLOUD"):
        pytest.fail(why)
    pytest.skip(why)
