"""What `sam build` makes: the folders that are deployed, kept until their sources change."""

import hashlib
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from loki_shipper.local.lock import locked
from loki_shipper.local.progress import Tell, clock_face

CLONE: Final = Path(__file__).parents[1]

_SOURCES = ("src", "layers", "Makefile", "template.yaml", "scripts/sam")
"""Everything that a build reads; a change of any of it makes another artifact."""

_KEPT = 5
"""Artifacts in the cache, of some 110 MB each, before the one that was used longest ago goes."""

LAYERS: Final = {"arm64": "DependenciesLayerArm64", "x86_64": "DependenciesLayerX8664"}
"""The template's layer for each architecture: CloudFormation makes the one that is asked for."""

_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class SamBuildError(Exception):
    """Raised when `sam build` fails; the message has its last words."""


class SamArtifact(Struct, frozen=True):
    """A build: `function` is what Lambda unpacks to /var/task, `layer` what it unpacks to /opt.

    `folder` has them and the template, which `sam deploy` takes; `architecture` is its parameter.
    """

    folder: Path
    function: Path
    layer: Path
    architecture: str

    @property
    def paths(self) -> tuple[Path, Path]:
        """The import path, in Lambda's order."""
        return self.function, self.layer / "python"


def build_artifact(environ: Mapping[str, str], tell: Tell, clone: Path = CLONE) -> SamArtifact:
    """Return the artifact of the clone as it is now, for this machine's architecture.

    Built by `sam build` unless the cache has it, which takes some 30 s and, for wheels and SAM,
    the network.

    Raises:
        BuildError: the build fails.
    """
    home = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~"), ".cache").expanduser()
    cache = Path(home, "loki-shipper")
    cache.mkdir(parents=True, exist_ok=True)
    folder = _place(cache, clone)
    if not folder.exists():
        with locked(cache / "artifact.lock", "another build of what is deployed", tell):
            folder = folder if folder.exists() else _build(cache, clone, environ, tell)
    os.utime(folder)
    _forget(cache)
    architecture = _architecture()
    return SamArtifact(
        folder, folder / "ShipperFunction", folder / LAYERS[architecture], architecture
    )


def _place(cache: Path, clone: Path) -> Path:
    digest = hashlib.sha256(platform.machine().encode())
    for path in _files(clone):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(clone)}\0{len(content)}\0".encode())
        digest.update(content)
    return cache / f"artifact-{digest.hexdigest()[:12]}"


def _files(clone: Path) -> Iterator[Path]:
    for name in _SOURCES:
        root = clone / name
        found = [root] if root.is_file() else sorted(root.rglob("*"))
        yield from (p for p in found if p.is_file() and p.parent.name != "__pycache__")


def _build(cache: Path, clone: Path, environ: Mapping[str, str], tell: Tell) -> Path:
    with TemporaryDirectory(prefix="unfinished-", dir=cache) as name:
        # A copy, so that what is edited meanwhile is not half of it.
        copy, build = Path(name, "clone"), Path(name, "build")
        copy_sources(clone, copy)
        folder = _place(cache, copy)
        sam_build(copy, build, environ, tell, clone=clone)
        # Another run may have been faster; then its build is as good.
        if not folder.exists():
            build.rename(folder)
    return folder


def sam_build(
    sources: Path,
    build: Path,
    environ: Mapping[str, str],
    tell: Tell,
    *,
    clone: Path = CLONE,
) -> None:
    """Run the clone's `sam build` on a copy of its sources.

    `build` gets a folder for each function and layer, and the template that names them.

    Raises:
        BuildError: the build fails.
    """
    log = build.with_name(f"{build.name}.log")
    sam = [os.fspath(clone / "scripts/sam"), "build", "--build-dir", os.fspath(build)]
    sam += ["--template-file", os.fspath(sources / "template.yaml")]
    with log.open("w") as output:
        process = subprocess.Popen(
            sam,
            cwd=clone,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(process, tell)
        finally:
            process.kill()
    if process.returncode:
        lines = log.read_text(errors="replace").splitlines()[-20:]
        raise SamBuildError("\n".join(["sam build failed:", *lines]))


def _architecture() -> str:
    """Name this machine's processor as Lambda does."""
    return _ARCHITECTURES[platform.machine().lower()]


def copy_sources(clone: Path, copy: Path) -> None:
    """Copy what a build reads."""
    for path in _files(clone):
        target = copy / path.relative_to(clone)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _wait(process: subprocess.Popen[bytes], tell: Tell) -> None:
    began = time.monotonic()
    while True:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            spent = clock_face(time.monotonic() - began)
            tell(f"building what is deployed (half a minute after a change): {spent}")
        else:
            tell("")
            return


def _forget(cache: Path) -> None:
    artifacts = sorted(cache.glob("artifact-*"), key=lambda folder: folder.stat().st_mtime)
    for old in artifacts[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
