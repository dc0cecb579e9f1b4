"""The built subscriber works with nothing of the clone within its reach."""

from collections.abc import Iterator

import pytest

from loki_shipper.local.artifact import Artifact
from loki_shipper.local.runtime_api import Response, Sandbox, run_sandbox
from tests.subscriber.deployment import Deployment, deployed


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        yield here


@pytest.fixture
def subscriber(artifact: Artifact, here: Deployment) -> Iterator[Sandbox]:
    with run_sandbox(
        "loki_shipper.subscriber.handler.handle",
        paths=artifact.paths,
        cwd=artifact.function,
        env={**here.aws.environ, **here.environ},
        alone=True,
    ) as sandbox:
        yield sandbox


def test_a_sweep_links_and_the_next_one_finds_nothing_to_do(
    here: Deployment, subscriber: Sandbox
) -> None:
    for name in ("/aws/lambda/a", "/ecs/b"):
        here.group(name)
    for expected in (1, 0):
        result = subscriber.invoke({"action": "sweep"}, deadline_ms=120_000)
        assert isinstance(result, Response), result
        assert result.payload["put"] == expected
    assert here.linked == {"/aws/lambda/a"}
