"""The workflows run `.ci/run`, with actions that are pinned by commit."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from loki_shipper import VERSION

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem: path for path in (ROOT / ".github/workflows").glob("*.yaml")}


def workflow(name: str) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(FILES[name].read_text("utf-8"))
    return content


@pytest.mark.parametrize("name", FILES)
def test_actions_are_pinned_by_commit_with_their_version(name: str) -> None:
    used = re.findall(r"uses: (.*)", FILES[name].read_text("utf-8"))
    foreign = [action for action in used if not action.startswith("./")]
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert used
    assert [action for action in foreign if not pinned.fullmatch(action)] == []


@pytest.mark.parametrize("name", FILES)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(name: str) -> None:
    assert workflow(name)["permissions"] == {"contents": "read"}


def test_every_machine_runs_everything() -> None:
    job = workflow("ci")["jobs"]["all"]
    assert job["steps"][-1] == {"run": "./.ci/run"}
    machines = {each["machine"] for each in job["strategy"]["matrix"]["include"]}
    assert len(machines) == len({"arm64", "x86_64"})


def test_nothing_is_published_before_everything_has_passed() -> None:
    jobs = workflow("release")["jobs"]
    assert jobs["ci"] == {"uses": "./.github/workflows/ci.yaml"}
    assert jobs["publish"]["needs"] == "ci"
    assert {"name": "Build", "run": "./scripts/release dist"} in jobs["publish"]["steps"]


def test_one_workflow_publishes_everything_with_its_provenance() -> None:
    steps = workflow("release")["jobs"]["publish"]["steps"]
    (attested,) = [step for step in steps if "attest-build-provenance" in step.get("uses", "")]
    assert attested["with"] == {"subject-path": "dist/*"}
    commands = [step.get("run", "") for step in steps]
    (github,) = [n for n, command in enumerate(commands) if "gh release create" in command]
    (pypi,) = [n for n, command in enumerate(commands) if "publish --trusted" in command]
    # What cannot be taken back comes last.
    assert steps.index(attested) < github < pypi
    assert "dist/*" in commands[github]
    assert "dist/*.whl dist/*.tar.gz" in commands[pypi]


def test_the_changelog_has_a_section_for_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    sections = re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    assert sections[:2] == ["Unreleased", VERSION]
