"""Builds the deployed folders with `sam build` and keeps them until their sources change."""

import hashlib
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from loki_shipper.local.build import locked, run_build
from loki_shipper.local.cache import cache_folder
from loki_shipper.local.progress import Tell
from loki_shipper.template import LAYERS

CLONE: Final = Path(__file__).parents[1]

_SOURCES = ("src", "layers", "Makefile", "template.yaml", "scripts/sam")
"""All that a build reads: a change makes another artifact."""

_KEPT = 5
"""Most artifacts in the cache, about 110 MB each; the least recently used one is deleted."""

_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


class SamBuildError(Exception):
    """Raised when `sam build` fails; the message has the end of its output."""


class SamArtifact(Struct, frozen=True):
    """A build: Lambda unpacks `function` to /var/task and `layer` to /opt.

    `folder` has both and the template for `sam deploy`; `architecture` is a parameter of it.
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
    """Return the artifact of the clone's present sources, for this machine's architecture.

    `sam build` makes it unless the cache has it. That takes about 30 s, and the network for wheels
    and SAM.

    Raises:
        SamBuildError: the build fails.
    """
    cache = cache_folder(environ)
    cache.mkdir(parents=True, exist_ok=True)
    folder = _place(cache, clone)
    if not folder.exists():
        with locked(cache / "artifact.lock", "another `sam build`", tell):
            folder = folder if folder.exists() else _build(cache, clone, environ, tell)
    os.utime(folder)
    _forget(cache)
    architecture = this_architecture()
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
        # A copy: somebody may edit the sources during the build.
        copy, build = Path(name, "clone"), Path(name, "build")
        copy_sources(clone, copy)
        folder = _place(cache, copy)
        sam_build(copy, build, environ, tell, clone=clone)
        # Another process may have been faster; its build is the same.
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

    `build` gets a folder for each function and layer, and the template.

    Raises:
        SamBuildError: the build fails.
    """
    log = build.with_name(f"{build.name}.log")
    sam = [os.fspath(clone / "scripts/sam"), "build", "--build-dir", os.fspath(build)]
    sam += ["--template-file", os.fspath(sources / "template.yaml")]
    failed = run_build(
        sam,
        cwd=clone,
        env=environ,
        log=log,
        what="building what is deployed (half a minute after a change)",
        tell=tell,
    )
    if failed:
        lines = log.read_text(errors="replace").splitlines()[-20:]
        raise SamBuildError("\n".join(["sam build failed:", *lines]))


def this_architecture() -> str:
    """Return Lambda's name for this machine's processor."""
    return _ARCHITECTURES[platform.machine().lower()]


def copy_sources(clone: Path, copy: Path) -> None:
    """Copy the files that a build reads."""
    for path in _files(clone):
        target = copy / path.relative_to(clone)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _forget(cache: Path) -> None:
    artifacts = sorted(cache.glob("artifact-*"), key=lambda folder: folder.stat().st_mtime)
    for old in artifacts[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
