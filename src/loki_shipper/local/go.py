"""Builds Loki with Go from the module in `loki_module`, once for each version."""

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loki_shipper.local.lock import locked
from loki_shipper.local.progress import Tell, clock_face

MODULE: Final = Path(__file__).parent / "loki_module"
"""The folder of go.mod and go.sum."""

_PACKAGE = "github.com/grafana/loki/v3/cmd/loki"
_VERSION = re.compile(r"\b(?:go)?(\d+(?:\.\d+)+)")


class LokiBuildError(Exception):
    """Raised when Go cannot build Loki here; the message says why and what to do."""


def build_loki(environ: Mapping[str, str], tell: Tell, module: Path = MODULE) -> Path:
    """Return the executable of `module`'s Loki, built now unless the cache has it.

    The first build downloads and compiles for some five minutes; Go's own cache makes the next
    ones quick. Two callers never build at once.

    Raises:
        BuildError: no Go, a Go too old, or a failed build.
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
    """Name the executable's place in the cache: one for each content of go.mod and go.sum."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~"), ".cache").expanduser()
    content = b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum"))
    return Path(cache, "loki-shipper", f"loki-{hashlib.sha256(content).hexdigest()[:12]}")


def _check_go(module: Path, environ: Mapping[str, str]) -> None:
    """Go before 1.21 ignores the version in go.mod and then fails with pages of errors."""
    go = shutil.which("go", path=environ.get("PATH"))
    needed = _version_of((module / "go.mod").read_text().partition("\ngo ")[2])
    if go is None:
        raise LokiBuildError("no `go` on PATH")
    # In the module's folder, for there Go may switch to a newer toolchain by itself.
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
    unfinished = executable.with_suffix(".unfinished")
    # `noasm` keeps assembler out, which needs no C compiler and runs on every processor.
    command = ["go", "build", "-tags", "noasm", "-o", os.fspath(unfinished), _PACKAGE]
    log = executable.with_suffix(".log")
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=module,
            env={**environ, "CGO_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while _runs(process):
                spent = clock_face(time.monotonic() - began)
                tell(
                    "building Loki with Go (some five minutes the first time, seconds later):"
                    f" {spent}"
                )
        finally:
            process.kill()
            tell("")
    if process.returncode:
        lines = log.read_text(errors="replace").splitlines() or ["no output"]
        raise LokiBuildError(f"Go could not build Loki: {lines[-1]} (all of it in {log})")
    unfinished.rename(executable)


def _runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return True
    return False
