"""What is published: the same bytes from the same sources, and all that a deployment needs."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from loki_shipper import VERSION
from loki_shipper.local.artifact import CLONE, LAYERS, BuildError, copy_sources
from loki_shipper.local.aws import LocalAws
from loki_shipper.local.progress import Tell
from loki_shipper.local.release import NAME, function_zip, layer_zip, release, write_zip

UNCHECKED_HASH = (1).to_bytes(4, "little")
ZIPS = [function_zip(), *map(layer_zip, LAYERS)]


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they are now: who edits meanwhile does not edit these."""
    folder = tmp_path_factory.mktemp("sources")
    copy_sources(CLONE, folder)
    return folder


@pytest.fixture(scope="session")
def released(sources: Path, tmp_path_factory: pytest.TempPathFactory, tell: Tell) -> Path:
    folder = tmp_path_factory.mktemp("released")
    release(folder, os.environ, tell, clone=sources)
    return folder


@pytest.fixture(scope="session")
def template(released: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((released / f"{NAME}.yaml").read_text("utf-8"))
    return content


def test_the_version_is_one() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION


def test_another_day_in_another_place_gives_the_same_bytes(
    sources: Path, released: Path, tmp_path: Path, tell: Tell
) -> None:
    elsewhere = tmp_path / "elsewhere"
    copy_sources(sources, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (0, 1_000_000_000))
    before = os.umask(0o077)
    try:
        again = release(tmp_path / "again", os.environ, tell, clone=elsewhere)
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in again} == {
        path.name: path.read_bytes() for path in released.iterdir()
    }


def test_checksums_are_those_of_the_files(released: Path) -> None:
    lines = (released / f"{NAME}-SHA256SUMS").read_text("utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums == {
        name: hashlib.sha256((released / name).read_bytes()).hexdigest()
        for name in [*ZIPS, f"{NAME}.yaml"]
    }


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_tells_nothing_of_when_and_by_whom_it_was_made(released: Path, name: str) -> None:
    entries = ZipFile(released / name).infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert {entry.create_system for entry in entries} == {3}


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_brings_bytecode_that_unpacking_does_not_make_stale(
    released: Path, name: str
) -> None:
    archive = ZipFile(released / name)
    modules = {entry for entry in archive.namelist() if entry.endswith(".py")}
    bytecode = {entry for entry in archive.namelist() if entry.endswith(".pyc")}
    assert modules
    assert len(bytecode) == len(modules)
    assert {archive.read(entry)[4:8] for entry in bytecode} == {UNCHECKED_HASH}


@pytest.mark.parametrize(("architecture", "machine"), [("arm64", "aarch64"), ("x86_64", "x86_64")])
def test_a_layer_has_the_wheels_of_its_processor(
    released: Path, architecture: str, machine: str
) -> None:
    names = ZipFile(released / layer_zip(architecture)).namelist()
    native = [name for name in names if "-linux-gnu.so" in name]
    assert native
    assert all(machine in name for name in native)


def test_a_zip_is_not_too_large_to_be_uploaded_at_once(released: Path) -> None:
    assert all((released / name).stat().st_size < 50 * 1024 * 1024 for name in ZIPS)


def test_cfn_lint_finds_nothing_in_the_template(released: Path) -> None:
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    command = [cfn_lint, released / f"{NAME}.yaml"]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_sam_deploys_the_zips_as_they_are(released: Path, aws: LocalAws, tmp_path: Path) -> None:
    """Up to CloudFormation itself: `sam deploy` packages first, and that is what runs here."""
    s3 = aws.client("s3")
    bucket = f"release-{os.getpid()}"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
    packaged = tmp_path / "packaged.yaml"
    subprocess.run(
        [
            CLONE / "scripts/sam",
            "package",
            f"--template-file={released / NAME}.yaml",
            f"--s3-bucket={bucket}",
            f"--output-template-file={packaged}",
        ],
        env={**os.environ, **aws.environ},
        capture_output=True,
        check=True,
    )
    places = {
        name: resource["Properties"].get("CodeUri") or resource["Properties"].get("ContentUri")
        for name, resource in yaml.safe_load(packaged.read_text("utf-8"))["Resources"].items()
        if resource["Type"].startswith("AWS::Serverless::")
    }
    expected = dict.fromkeys(places, function_zip())
    expected |= {name: layer_zip(architecture) for architecture, name in LAYERS.items()}
    for name, place in places.items():
        key = place.removeprefix(f"s3://{bucket}/")
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        assert body == (released / expected[name]).read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "loki-shipper-0.0.1.yaml").touch()
    with pytest.raises(BuildError, match="not empty"):
        release(tmp_path, os.environ, tell)
    assert [path.name for path in tmp_path.iterdir()] == ["loki-shipper-0.0.1.yaml"]


def test_names_and_contents_are_all_that_matters_in_a_zip(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, order in ((one, "ab"), (other, "ba")):
        for name in order:
            (folder / name).mkdir(parents=True)
            (folder / name / "file.py").write_text(name)
    (other / "a/file.py").chmod(0o755)
    write_zip(one, tmp_path / "one.zip")
    write_zip(other, tmp_path / "other.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    shutil.copytree(one, other, dirs_exist_ok=True)
    (other / "a/file.py").write_text("c")
    write_zip(other, tmp_path / "other.zip")
    assert (tmp_path / "one.zip").read_bytes() != (tmp_path / "other.zip").read_bytes()
    archive = ZipFile(io.BytesIO((tmp_path / "one.zip").read_bytes()))
    assert archive.namelist() == ["a/file.py", "b/file.py"]


def test_terraform_finds_every_zip_by_one_replacement(
    released: Path, template: dict[str, Any]
) -> None:
    """`terraform/release.tf` puts a place in the bucket where the template says `./NAME-`."""
    serverless = [
        resource
        for resource in template["Resources"].values()
        if resource["Type"].startswith("AWS::Serverless::")
    ]
    assert (released / f"{NAME}.yaml").read_text("utf-8").count(f"./{NAME}-") == len(serverless)
