"""The wheel, in an empty environment of each supported Python and without a clone in sight."""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from loki_shipper import VERSION
from loki_shipper.cli import COMMANDS
from loki_shipper.deployment.artifact import (
    find_compiler,
    function_artifact,
    layer_artifact,
    write_artifact,
)
from loki_shipper.local.aws import run_aws
from tests.install.installing import CLONE, UV, build_wheel, install, interpreter, run

PYTHONS = ("3.12", "3.13")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session", params=PYTHONS)
def command(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    return install(wheel, tmp_path_factory.mktemp(f"python-{request.param}"), request.param)


def test_shows_its_version_and_commands(command: Path, tmp_path: Path) -> None:
    assert run(command, "--version", cwd=tmp_path).stdout == f"loki-shipper {VERSION}\n"
    assert "Show it all on this machine" in run(command, "--help", cwd=tmp_path).stdout


def test_every_command_has_its_help(command: Path, tmp_path: Path) -> None:
    script = (
        "from loki_shipper.cli import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    main([name, '--help'], 'loki-shipper', standalone_mode=False)\n"
    )
    shown = run(command.with_name("python"), "-c", script, cwd=tmp_path).stdout
    assert re.findall(r"^Usage: loki-shipper ([a-z]+)", shown, re.MULTILINE) == [*COMMANDS]


@pytest.mark.parametrize("sample", ["lambda", "lambda.json", "events/lambda.json"])
def test_runs_the_shipper_on_a_sample(command: Path, tmp_path: Path, sample: str) -> None:
    shown = run(command, "invoke", "--tag", "team=payments", sample, cwd=tmp_path).stdout
    assert 'team="payments"' in shown


def test_checks_rules_on_a_sample(command: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[[rule]]\ndrop = "START"\n')
    shown = run(command, "check", "rules.toml", "--event", "lambda", cwd=tmp_path).stdout
    assert "drops the line" in shown


def test_shows_the_demo(command: Path, tmp_path: Path) -> None:
    nowhere = {"PATH": os.fspath(tmp_path), "XDG_CACHE_HOME": os.fspath(tmp_path)}
    shown = run(command, "demo", "--for", "3s", cwd=tmp_path, **nowhere).stdout
    counts = re.search(r"^(\d+) lines logged, (\d+) lines held$", shown, re.MULTILINE)
    assert counts
    assert int(counts[1]) == int(counts[2]) > 0


def test_says_what_a_deployment_would_do(command: Path, tmp_path: Path) -> None:
    with run_aws("eu-west-1") as aws:
        aws.create_log_group("/aws/lambda/checkout", {})
        words = ("deploy", "--dry-run", "--loki-url", "https://loki.example")
        shown = run(command, *words, cwd=tmp_path, **aws.environ).stdout
        assert aws.client("s3").list_buckets()["Buckets"] == []
    assert "Creates the stack loki-shipper in eu-west-1, account 123456789012" in shown
    assert "1 of 1 log groups: /aws/lambda/checkout" in shown
    assert "Nothing was changed." in shown


def test_makes_the_functions_and_the_layer_from_the_files_of_the_wheel(
    command: Path, tmp_path: Path
) -> None:
    """Whatever Python runs the command, and where the clone is not: the same bytes everywhere."""
    script = """
import os, sys
from pathlib import Path
from loki_shipper.deployment.artifact import *
compiler = find_compiler(os.environ)
artifacts = [function_artifact(compiler, os.environ), layer_artifact("arm64", compiler, os.environ)]
for artifact in artifacts:
    print(write_artifact(artifact, Path()).name)
"""
    python = Path(interpreter("3.13")).parent
    path = f"{python}:{os.environ['PATH']}" if python.is_absolute() else os.environ["PATH"]
    made = run(command.with_name("python"), "-c", script, cwd=tmp_path, PATH=path).stdout
    compiler = find_compiler({**os.environ, "PATH": path})
    function = function_artifact(compiler, os.environ)
    names = [function.name, layer_artifact("arm64", compiler, os.environ).name]
    assert made.splitlines() == names
    here = write_artifact(function, tmp_path / "here")
    assert (tmp_path / function.name).read_bytes() == here.read_bytes()


def test_the_doctor_reads_the_rights_out_of_the_template(command: Path, tmp_path: Path) -> None:
    code = """if True:
        from loki_shipper.template import read_template
        from loki_shipper.doctor.grants import TemplateValues, granted
        pseudo = {f"AWS::{name}": "x" for name in ("Partition", "Region", "AccountId", "URLSuffix")}
        known = TemplateValues({}, {"Bucket": "b"}, pseudo)
        template = read_template()
        print(*(right.action for right in granted(template, "RedriverRole", known)))
    """
    read = run(command.with_name("python"), "-c", code, cwd=tmp_path)
    assert "s3:DeleteObject" in read.stdout.split()


def test_the_wheel_has_the_files_that_commands_read(wheel: Path) -> None:
    names = set(ZipFile(wheel).namelist())
    brought = {name.removeprefix("loki_shipper/bundled/") for name in names}
    assert names >= {
        "loki_shipper/cli/__init__.py",
        "loki_shipper/local/logproto_pb2.py",
        "loki_shipper/local/loki-fault-tenants.yaml",
        "loki_shipper/local/loki_module/go.mod",
        "loki_shipper/local/loki_module/go.sum",
    }
    assert brought >= {
        "docs/troubleshooting.md",
        "events/lambda.json",
        "layers/dependencies/requirements.txt",
        "layers/dependencies/arm64/platforms.txt",
        "template.yaml",
    }
    assert not [name for name in names if "__pycache__" in name]


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """A fresh clone, with what is edited here."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=CLONE).stdout
    for name in listed.splitlines():
        if (CLONE / name).is_file():
            target = tmp_path / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CLONE / name, target)
    yield tmp_path / "clone"
    shutil.rmtree(tmp_path / "clone")


def test_uvx_runs_it_straight_from_a_clone(copy: Path) -> None:
    words = (UV, "tool", "run", "--quiet", "--from", ".", "loki-shipper")
    assert run(*words, "--version", cwd=copy).stdout == f"loki-shipper {VERSION}\n"
    with run_aws("eu-west-1") as aws:
        aws.create_log_group("/aws/lambda/checkout", {"team": "payments"})
        assert "/aws/lambda/checkout" in run(*words, "plan", cwd=copy, **aws.environ).stdout


def test_pip_installs_a_clone(copy: Path, tmp_path: Path) -> None:
    run(UV, "venv", "--quiet", "--seed", "--python", interpreter(PYTHONS[-1]), "venv", cwd=tmp_path)
    pip = tmp_path / "venv/bin/python"
    run(pip, "-m", "pip", "install", "--quiet", "--no-deps", ".", cwd=copy)
    assert (tmp_path / "venv/bin/loki-shipper").is_file()


def test_the_functions_import_a_part_of_the_dependencies_of_the_wheel() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text("utf-8"))
    assert set(project["dependency-groups"]["functions"]) < set(project["project"]["dependencies"])


def test_the_pythons_tried_are_those_that_are_supported() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["requires-python"] == f">={PYTHONS[0]}"
    assert PYTHONS[0] in (CLONE / "README.md").read_text("utf-8")
