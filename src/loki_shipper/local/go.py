"""Builds Loki with Go from the module in `loki_module`, once for each version."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loki_shipper.local.build import locked, run_build
from loki_shipper.local.cache import cache_folder
from loki_shipper.local.progress import Tell

MODULE: Final = Path(__file__).parent / "loki_module"
"""The folder of go.mod and go.sum."""

_PACKAGE = "github.com/grafana/loki/v3/cmd/loki"
_VERSION = re.compile(r"\b(?:go)?(\d+(?:\.\d+)+)")


class LokiBuildError(Exception):
    """Raised when Go cannot build Loki here; the message gives the reason."""


def build_loki(environ: Mapping[str, str], tell: Tell, module: Path = MODULE) -> Path:
    """Return the executable of `module`'s Loki; build it unless the cache has it.

    The first build downloads and compiles for about five minutes. Go's own cache makes later builds
    quick. A lock keeps two callers from building at the same time.

    Raises:
        LokiBuildError: Go is missing or too old, or the build fails.
    """
    executable = cached(environ, module)
    if executable.exists():
        return executable
    _check_go(module, environ)
    with locked(executable.with_suffix(".lock"), "another build of Loki", tell):
        if not executable.exists():
            _build(executable, module, environ, tell)
    return executable


def cached(environ: Mapping[str, str], module: Path = MODULE) -> Path:
    """Return the executable's path in the cache; it depends on go.mod and go.sum."""
    content = b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum"))
    return cache_folder(environ) / f"loki-{hashlib.sha256(content).hexdigest()[:12]}"


def _check_go(module: Path, environ: Mapping[str, str]) -> None:
    """Raise LokiBuildError unless Go can build the module.

    Go before 1.21 ignores the version in go.mod and fails with pages of errors.
    """
    go = shutil.which("go", path=environ.get("PATH"))
    needed = _version_of((module / "go.mod").read_text().partition("\ngo ")[2])
    if go is None:
        raise LokiBuildError("no `go` on PATH")
    # In the module's folder, Go may switch to a newer toolchain by itself.
    answer = subprocess.run(
        [go, "version"], cwd=module, env=dict(environ), capture_output=True, text=True, check=False
    )
    found = _version_of(answer.stdout)
    if found < needed:
        names = [".".join(map(str, version)) for version in (found, needed)]
        raise LokiBuildError(f"Go {names[0]} is too old to build Loki, which needs {names[1]}")


def _version_of(text: str) -> tuple[int, ...]:
    match = _VERSION.search(text)
    return tuple(map(int, match[1].split("."))) if match else (0,)


def _build(executable: Path, module: Path, environ: Mapping[str, str], tell: Tell) -> None:
    unfinished, log = executable.with_suffix(".unfinished"), executable.with_suffix(".log")
    # `noasm` leaves out assembler: the build needs no C compiler and runs on every processor.
    failed = run_build(
        ["go", "build", "-tags", "noasm", "-o", os.fspath(unfinished), _PACKAGE],
        cwd=module,
        env={**environ, "CGO_ENABLED": "0"},
        log=log,
        what="building Loki with Go (some five minutes the first time, seconds later)",
        tell=tell,
    )
    if failed:
        lines = log.read_text(errors="replace").splitlines() or ["no output"]
        raise LokiBuildError(f"Go could not build Loki: {lines[-1]} (the full output is in {log})")
    unfinished.rename(executable)
