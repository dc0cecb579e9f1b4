"""What Lambda runs is made of the package and of wheels, by name the same for the same inputs."""

import os
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from loki_shipper.deployment.artifact import (
    LEFT_OUT,
    RUNTIME,
    Artifact,
    ArtifactError,
    find_compiler,
    function_artifact,
    layer_artifact,
    write_artifact,
)

COMPILER = find_compiler(os.environ)


def test_the_functions_code_has_bytecode_and_no_local_rooms(tmp_path: Path) -> None:
    names = ZipFile(write_artifact(function_artifact(COMPILER, os.environ), tmp_path)).namelist()
    assert "loki_shipper/shipper/handler.py" in names
    assert "loki_shipper/shipper/__pycache__/handler.cpython-313.pyc" in names
    assert {name.split("/")[1] for name in names}.isdisjoint(LEFT_OUT)


def test_without_the_python_of_lambda_there_is_no_bytecode_and_another_name(tmp_path: Path) -> None:
    plain = function_artifact(None, os.environ)
    assert plain.name != function_artifact(COMPILER, os.environ).name
    names = ZipFile(write_artifact(plain, tmp_path)).namelist()
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_same_inputs_give_the_same_name_and_bytes(tmp_path: Path) -> None:
    one = write_artifact(function_artifact(COMPILER, os.environ), tmp_path / "one")
    other = write_artifact(function_artifact(COMPILER, os.environ), tmp_path / "other")
    assert (one.name, one.read_bytes()) == (other.name, other.read_bytes())


def test_each_processor_has_a_layer_of_its_own_name() -> None:
    names = {layer_artifact(each, COMPILER, os.environ).name for each in ("arm64", "x86_64")}
    assert len(names) == 2


def test_a_zip_that_exists_is_not_made_again(tmp_path: Path) -> None:
    filled: list[Path] = []

    def fill(folder: Path) -> None:
        filled.append(folder)
        folder.mkdir()
        (folder / "a").write_text("a")

    artifact = Artifact("a.zip", fill)
    assert write_artifact(artifact, tmp_path) == write_artifact(artifact, tmp_path)
    assert len(filled) == 1


def test_a_failed_build_leaves_no_zip(tmp_path: Path) -> None:
    def fill(_: Path) -> None:
        raise ArtifactError("no network")

    with pytest.raises(ArtifactError):
        write_artifact(Artifact("a.zip", fill), tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_a_failed_download_of_wheels_says_what_to_do(tmp_path: Path) -> None:
    nowhere = {**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0"}
    nowhere["PIP_NO_CACHE_DIR"] = "1"
    layer = layer_artifact("arm64", COMPILER, nowhere)
    with pytest.raises(ArtifactError, match=r"(?s)pip cannot download.*check your connection"):
        layer.fill(tmp_path)


def test_a_python_on_path_that_refuses_to_run_is_skipped(tmp_path: Path) -> None:
    (tmp_path / f"python{RUNTIME}").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / f"python{RUNTIME}").chmod(0o755)
    found = find_compiler({"PATH": os.fspath(tmp_path)})
    assert found == ((sys.executable,) if sys.version_info[:2] == (3, 13) else None)
