"""The workflows do what `.ci/run` does, with actions that nobody can change under us."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem: path for path in (ROOT / ".github/workflows").glob("*.yaml")}


def workflow(name: str) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(FILES[name].read_text("utf-8"))
    return content


@pytest.mark.parametrize("name", FILES)
def test_actions_are_named_by_commit_with_their_version_beside(name: str) -> None:
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
