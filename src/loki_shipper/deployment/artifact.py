"""Makes the zips that Lambda runs: the functions' code from this package, the layer from wheels.

The same inputs give a zip of the same name, so an uploaded zip is not made again. With the same
Python 3.13.x they give the same bytes: names are sorted, times and modes are fixed, and bytecode
has no path of this machine.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from msgspec import Struct

from loki_shipper.bundle import bundled

RUNTIME: Final = "3.13"
"""The Python version of the functions."""

LEFT_OUT: Final = ("bundle.py", "bundled", "cli", "deployment", "doctor", "google", "local")
"""Parts of the package that no function imports."""

_PACKAGE: Final = Path(__file__).parents[1]
_FIRST_TIME_OF_ZIP: Final = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE: Final = 0o100644 << 16
_UNIX: Final = 3
_LAST_LINES: Final = 8

type Compiler = tuple[str, ...]
"""How to run a Python of version `RUNTIME`: the beginning of a command."""


class ArtifactError(Exception):
    """Raised when a zip cannot be made; the message gives the reason and advice."""


class Artifact(Struct, frozen=True):
    """A zip: its name has a digest of its inputs, and `fill` writes its files into a folder."""

    name: str
    fill: Callable[[Path], None]


def find_compiler(environ: Mapping[str, str]) -> Compiler | None:
    """Find a Python of Lambda's version: this one, one on PATH, or one from uv; else None.

    Only this version can compile for Lambda.
    """
    path = environ.get("PATH")
    candidates: list[Compiler] = [(sys.executable,)]
    if python := shutil.which(f"python{RUNTIME}", path=path):
        candidates.append((python,))
    if uv := shutil.which("uv", path=path):
        candidates.append((uv, "run", "--quiet", "--no-project", "--python", RUNTIME, "python"))
    return next((each for each in candidates if _has_lambdas_version(each, environ)), None)


def _has_lambdas_version(command: Compiler, environ: Mapping[str, str]) -> bool:
    # The command of a version manager may be on PATH and fail.
    script = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = _run([*command, "-c", script], environ)
    return done.returncode == 0 and done.stdout.strip() == RUNTIME


def function_artifact(compiler: Compiler | None, environ: Mapping[str, str]) -> Artifact:
    """Return the functions' code: one zip for all functions and architectures."""
    files = {path.relative_to(_PACKAGE).as_posix(): path for path in _code()}

    def fill(folder: Path) -> None:
        for name, path in files.items():
            target = folder / _PACKAGE.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        _compile(folder, "/var/task", compiler, environ)

    digest = _digest({name: path.read_bytes() for name, path in files.items()}, compiler)
    return Artifact(f"function-{digest}.zip", fill)


def _code() -> Iterator[Path]:
    for path in sorted(_PACKAGE.rglob("*")):
        parts = path.relative_to(_PACKAGE).parts
        if path.is_file() and parts[0] not in LEFT_OUT and "__pycache__" not in parts:
            yield path


def layer_artifact(
    architecture: str, compiler: Compiler | None, environ: Mapping[str, str]
) -> Artifact:
    """Return the layer of an architecture: the functions' wheels, checked by their hashes.

    `fill` needs the network or pip's cache, and raises ArtifactError without them.
    """
    dependencies = bundled("layers/dependencies")
    requirements = dependencies / "requirements.txt"
    platforms = (dependencies / architecture / "platforms.txt").read_text("utf-8").split()

    def fill(folder: Path) -> None:
        _install(requirements, platforms, folder / "python", environ)
        _compile(folder, "/opt", compiler, environ)

    inputs = {"requirements": requirements.read_bytes(), "platforms": repr(platforms).encode()}
    return Artifact(f"layer-{architecture}-{_digest(inputs, compiler)}.zip", fill)


def _install(
    requirements: Path, platforms: list[str], target: Path, environ: Mapping[str, str]
) -> None:
    command = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
    command += ["--disable-pip-version-check", "--require-hashes", "--no-deps", "--no-compile"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", RUNTIME]
    command += [f"--abi={abi}" for abi in (f"cp{RUNTIME.replace('.', '')}", "abi3", "none")]
    command += [f"--platform={platform}" for platform in platforms]
    done = _run([*command, "--requirement", requirements, "--target", target], environ)
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-_LAST_LINES:]
        advice = "check your connection and pip's configuration, and repeat the command"
        raise ArtifactError("\n".join(["pip cannot download the layer's wheels:", *lines, advice]))
    shutil.rmtree(target / "bin", ignore_errors=True)


def _compile(
    folder: Path, target: str, compiler: Compiler | None, environ: Mapping[str, str]
) -> None:
    """Add bytecode for `target`, where Lambda unpacks the folder and cannot write.

    The bytecode is not checked against the times of files: those of a zip would make it stale.
    """
    if compiler is None:
        return
    command = [*compiler, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    done = _run([*command, "-s", folder, "-p", target, folder], environ)
    if done.returncode:
        raise ArtifactError(f"Python {RUNTIME} cannot compile the code: {done.stdout[-500:]}")


def write_artifact(artifact: Artifact, folder: Path) -> Path:
    """Write a zip into a folder unless it exists; return its path. Raises ArtifactError."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / artifact.name
    if not target.exists():
        with TemporaryDirectory(prefix="unfinished-", dir=folder) as name:
            files, unfinished = Path(name, "files"), Path(name, "zip")
            artifact.fill(files)
            write_zip(files, unfinished)
            unfinished.replace(target)
    return target


def write_zip(folder: Path, target: Path) -> None:
    """Zip a folder's files; only names and contents decide the bytes."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    with ZipFile(target, "w") as archive:
        for name, path in sorted(files.items()):
            if path.is_file():
                info = ZipInfo(name, _FIRST_TIME_OF_ZIP)
                info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
                archive.writestr(info, path.read_bytes(), ZIP_DEFLATED, compresslevel=9)


def _digest(inputs: Mapping[str, bytes], compiler: Compiler | None) -> str:
    bytecode = "source" if compiler is None else RUNTIME
    digest = hashlib.sha256(f"1 {bytecode}\0".encode())
    for name, content in sorted(inputs.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _run(command: list[str | Path], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - this module makes the command
        [os.fspath(word) for word in command],
        env=dict(environ),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
