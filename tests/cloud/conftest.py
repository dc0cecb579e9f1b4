"""An AWS that is not ours, for tests of the stack's whole life.

A test takes `cloud` and `built`, and makes a `Stack` in a Region that no other test uses. It need
not clean up.
"""

import os
from collections.abc import Iterator

import pytest

from loki_shipper.local.artifact import Artifact, build_artifact
from loki_shipper.local.progress import Tell
from tests.cloud.cloud import Cloud, CloudError, find_python, run_cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> Iterator[Cloud]:
    """An AWS of this machine; where it cannot be had, skip, but fail where it is required."""
    directory = tmp_path_factory.mktemp("cloud")
    try:
        python = find_python(os.environ, tell)
        with run_cloud(python, directory, tell=tell) as cloud:
            yield cloud
    except CloudError as error:
        _not_here(str(error))


@pytest.fixture(scope="session")
def built(tell: Tell) -> Artifact:
    """What `sam build` makes of this clone, for this machine's processor."""
    return build_artifact(os.environ, tell)


def _not_here(why: str) -> None:
    if os.environ.get("CI") or os.environ.get("REQUIRE_CLOUD"):
        pytest.fail(why)
    pytest.skip(why)
