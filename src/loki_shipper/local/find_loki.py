"""Finds a Loki: for the tests, for the demo and for `scripts/loki`."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from loki_shipper.formats import PUSH_PATH
from loki_shipper.local import go
from loki_shipper.local.progress import Tell

IMAGE: Final = "grafana/loki:3.7.8"
_HOW_TO_GET_ONE = (
    "Put a `loki` executable on PATH, start Docker, install Go (1.26.5 or later), "
    "or set LOKI_URL to a running Loki."
)


class Running(Struct, frozen=True):
    """A Loki that already runs; `url` has no path."""

    url: str


class Executable(Struct, frozen=True):
    """A Loki to start from a file."""

    path: Path


class Image(Struct, frozen=True):
    """A Loki to start with Docker, which pulls the image if necessary."""

    name: str


class NotFound(Struct, frozen=True):
    """No Loki; `why` gives the reason and how to get one."""

    why: str


type Found = Running | Executable | Image | NotFound


def find_loki(environ: Mapping[str, str], tell: Tell) -> Found:
    """Find a Loki: `LOKI_URL`, else `loki` on PATH, else Docker, else a build with Go."""
    if url := environ.get("LOKI_URL"):
        return Running(url.removesuffix("/").removesuffix(PUSH_PATH))
    if path := shutil.which("loki", path=environ.get("PATH")):
        return Executable(Path(path))
    if _docker_answers(environ):
        return Image(IMAGE)
    return find_executable(environ, tell)


def find_executable(environ: Mapping[str, str], tell: Tell) -> Executable | NotFound:
    """Find an executable file of Loki: `loki` on PATH, else a build with Go."""
    if path := shutil.which("loki", path=environ.get("PATH")):
        return Executable(Path(path))
    try:
        return Executable(go.build_loki(environ, tell))
    except go.LokiBuildError as error:
        return NotFound(f"No Loki found, and {error}. {_HOW_TO_GET_ONE}")


def _docker_answers(environ: Mapping[str, str]) -> bool:
    docker = shutil.which("docker", path=environ.get("PATH"))
    if docker is None:
        return False
    try:
        info = subprocess.run(
            [docker, "info"], env=dict(environ), capture_output=True, timeout=10, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return info.returncode == 0
