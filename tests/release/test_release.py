"""A release has the same bytes for the same sources, and all files that a deployment needs."""

import hashlib
import io
import json
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
from loki_shipper.deployment.artifact import write_zip
from loki_shipper.local.aws import LocalAws
from loki_shipper.local.progress import Tell
from loki_shipper.template import LAYERS
from tools.release import (
    CLONE,
    NAME,
    ReleaseError,
    function_zip,
    layer_zip,
    release,
    standalone_name,
)

UNCHECKED_HASH = (1).to_bytes(4, "little")
ZIPS = [function_zip(), *map(layer_zip, LAYERS)]
WHEEL = f"loki_shipper-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the sources, so that edits during the test do not change them."""
    folder = tmp_path_factory.mktemp("sources")
    copy_sources(folder)
    return folder


def copy_sources(target: Path) -> None:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=CLONE, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (CLONE / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CLONE / name, target / name)


def release_of(sources: Path, target: Path) -> Path:
    """Release a copy of the sources, by its own code."""
    path = os.pathsep.join([str(sources / "src"), str(sources)])
    subprocess.run(
        [sys.executable, "-m", "tools.release", target],
        cwd=sources,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return target


@pytest.fixture(scope="session")
def released(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_of(sources, tmp_path_factory.mktemp("released"))


@pytest.fixture(scope="session")
def template(released: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((released / f"{NAME}.yaml").read_text("utf-8"))
    return content


def test_the_project_and_the_package_have_the_same_version() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == VERSION


def test_another_day_and_another_folder_give_the_same_bytes(
    sources: Path, released: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(sources, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (0, 1_000_000_000))
    before = os.umask(0o077)
    try:
        again = release_of(elsewhere, tmp_path / "again")
    finally:
        os.umask(before)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {
        path.name: path.read_bytes() for path in released.iterdir()
    }


def test_a_release_has_zips_templates_wheel_and_sbom(released: Path) -> None:
    assert {path.name for path in released.iterdir()} == {
        *ZIPS,
        f"{NAME}.yaml",
        standalone_name(),
        WHEEL,
        f"loki_shipper-{VERSION}.tar.gz",
        f"{NAME}-sbom.cdx.json",
        f"{NAME}-SHA256SUMS",
    }


def test_the_sbom_lists_the_packages_of_the_layer(released: Path) -> None:
    sbom = json.loads((released / f"{NAME}-sbom.cdx.json").read_text("utf-8"))
    named = {component["name"]: component["version"] for component in sbom["components"]}
    layer = ZipFile(released / layer_zip("arm64")).namelist()
    infos = {name.split("/")[1] for name in layer if ".dist-info/" in name}
    held = dict(info.removesuffix(".dist-info").split("-", 1) for info in infos)
    assert held
    assert {name.replace("_", "-").lower(): version for name, version in held.items()}.items() <= (
        named.items()
    )


def test_the_wheel_of_a_release_deploys_its_zips(released: Path) -> None:
    code = ZipFile(released / function_zip())
    wheel = ZipFile(released / WHEEL)
    sources = [name for name in code.namelist() if name.endswith(".py")]
    assert sources
    assert [name for name in sources if code.read(name) != wheel.read(name)] == []


def test_checksums_are_those_of_the_files(released: Path) -> None:
    lines = (released / f"{NAME}-SHA256SUMS").read_text("utf-8").splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert sums == {
        name: hashlib.sha256((released / name).read_bytes()).hexdigest()
        for name in (path.name for path in released.iterdir())
        if not name.endswith("-SHA256SUMS")
    }


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_has_no_times_and_no_owner(released: Path, name: str) -> None:
    entries = ZipFile(released / name).infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert {entry.create_system for entry in entries} == {3}


@pytest.mark.parametrize("name", ZIPS)
def test_a_zip_has_bytecode_that_stays_valid_when_it_is_unpacked(released: Path, name: str) -> None:
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


@pytest.mark.parametrize("name", [f"{NAME}.yaml", standalone_name()])
def test_cfn_lint_finds_nothing_in_a_template(released: Path, name: str) -> None:
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    command = [cfn_lint, released / name]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")


def test_sam_deploys_the_zips_unchanged(released: Path, aws: LocalAws, tmp_path: Path) -> None:
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


def test_a_folder_that_is_not_empty_is_not_changed(tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "loki-shipper-0.0.1.yaml").touch()
    with pytest.raises(ReleaseError, match="not empty"):
        release(tmp_path, os.environ, tell)
    assert [path.name for path in tmp_path.iterdir()] == ["loki-shipper-0.0.1.yaml"]


def test_a_zip_depends_only_on_names_and_contents(tmp_path: Path) -> None:
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
