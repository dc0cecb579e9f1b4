"""The built subscriber works without access to the clone."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from loki_shipper.local.runtime_api import ExecutionEnvironment, Response, run_execution_environment
from loki_shipper.subscriber.stack.answer import LINKS, NOTHING_LINKED
from tests.local_deployment import Deployment, deployed
from tests.moto_insights import insights
from tests.subscriber.stack.answers import answers, stack_event
from tools.artifact import SamArtifact

HANDLER = "loki_shipper.subscriber.handler.handle"
OTHER_MACHINE = {0x3E: 0xB7, 0xB7: 0x3E}
"""x86-64 and AArch64 as an ELF file names its machine."""


@pytest.fixture
def here() -> Iterator[Deployment]:
    with deployed() as here:
        yield here


@pytest.fixture
def subscriber(artifact: SamArtifact, here: Deployment) -> Iterator[ExecutionEnvironment]:
    with run_execution_environment(
        HANDLER,
        paths=artifact.paths,
        cwd=artifact.function,
        env={**here.aws.environ, **here.environ, "SHIPPER_LOGS": "/shipper"},
        alone=True,
    ) as environment:
        yield environment


def test_a_sweep_links_and_the_next_one_finds_nothing_to_do(
    here: Deployment, subscriber: ExecutionEnvironment
) -> None:
    for name in ("/aws/lambda/a", "/ecs/b"):
        here.group(name)
    for expected in (1, 0):
        result = subscriber.invoke({"action": "sweep"}, deadline_ms=120_000)
        assert isinstance(result, Response), result
        assert result.payload["put"] == expected
    assert here.linked == {"/aws/lambda/a"}


def test_it_audits_the_log_groups_that_it_has_linked(
    here: Deployment, subscriber: ExecutionEnvironment
) -> None:
    here.aws.create_log_group("/shipper", {"loki-shipper:own": "ours"})
    with insights():
        for linked in (0, 1):
            result = subscriber.invoke({"action": "audit"}, deadline_ms=300_000)
            assert isinstance(result, Response), result
            assert (result.payload["log_groups"], result.payload["missing"]) == (linked, 0)
            here.group(f"/aws/lambda/{linked}")
            subscriber.invoke({"action": "sweep"}, deadline_ms=120_000)
    assert '"LinesMissing":0' in "\n".join(subscriber.log_lines)


@pytest.fixture
def broken(
    artifact: SamArtifact, here: Deployment, tmp_path: Path
) -> Iterator[ExecutionEnvironment]:
    """The function with a layer whose wheels were built for another processor."""
    layer = tmp_path / "python"
    shutil.copytree(artifact.layer / "python", layer)
    for library in (layer / "msgspec").glob("*.so"):
        content = bytearray(library.read_bytes())
        content[18] = OTHER_MACHINE[content[18]]
        library.write_bytes(content)
    with run_execution_environment(
        HANDLER,
        paths=(artifact.function, layer),
        cwd=artifact.function,
        env={**here.aws.environ, **here.environ},
        alone=True,
    ) as environment:
        yield environment


@pytest.mark.parametrize(
    ("kind", "physical_id", "status"),
    [
        ("Create", None, "FAILED"),
        ("Update", LINKS, "FAILED"),
        # Nothing was ever linked: the stack's rollback ends.
        ("Delete", NOTHING_LINKED, "SUCCESS"),
        # Filters would be left that nobody takes away.
        ("Delete", LINKS, "FAILED"),
    ],
)
def test_wheels_for_another_processor_leave_no_stack_without_an_answer(
    broken: ExecutionEnvironment, here: Deployment, kind: str, physical_id: str | None, status: str
) -> None:
    here.make_stack()
    known = {} if physical_id is None else {"PhysicalResourceId": physical_id}
    with answers() as server:
        result = broken.invoke(stack_event(kind, server.url, here.name, **known))
    assert result == Response({}), broken.log_lines
    [answer] = server.came
    assert answer["Status"] == status
    assert answer["PhysicalResourceId"] == (physical_id or NOTHING_LINKED)
    assert ("ImportError" in answer["Reason"]) is (status == "FAILED")


def test_the_entry_imports_nothing_but_the_standard_library(artifact: SamArtifact) -> None:
    """The function must catch errors of later imports, or CloudFormation waits for an hour."""
    code = "import sys; import loki_shipper.subscriber.handler; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", code]
    env = {"PYTHONPATH": str(artifact.function)}
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    loaded = {name.partition(".")[0] for name in printed.split()}
    assert loaded - sys.stdlib_module_names - {"loki_shipper", "__main__"} == set()
