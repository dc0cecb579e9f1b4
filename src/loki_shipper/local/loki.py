"""Finds, starts and asks a real Loki: the one finder of the tests, the demo and `scripts/loki`."""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, assert_never

import requests
from msgspec import Struct

from loki_shipper.local import go
from loki_shipper.local.progress import Tell, clock_face, on_stream

IMAGE: Final = "grafana/loki:3.7.8"
PUSH_PATH: Final = "/loki/api/v1/push"

type Profile = Literal["open", "stock", "demo", "durable"]
"""Which limits a Loki of ours has.

`open` takes lines of any age and any amount, and keeps tenants apart; `demo` is `open` without
tenants, as Grafana is easier to point at it; `stock` has Loki's own limits and the tenants of
`loki-fault-tenants.yaml`, each with a fault of its own. `durable` is `open`, and what it
has taken survives its being killed, for the next one in the same directory.
"""

_STOP_SECONDS = 20.0
_READY_SECONDS = 120.0
_OVERRIDE_SECONDS = 30.0
# Docker may have to pull it first.
_IMAGE_READY_SECONDS = 600.0
_HOW_TO_GET_ONE = (
    "Put a `loki` executable on PATH, start Docker, install Go (1.26.5 or later), "
    "or set LOKI_URL to a Loki that runs."
)
_ADDRESS_TAKEN = "address already in use"


class Running(Struct, frozen=True):
    """A Loki that somebody else runs; `url` has no path."""

    url: str


class Executable(Struct, frozen=True):
    """A Loki to start from a file."""

    path: Path


class Image(Struct, frozen=True):
    """A Loki to start with Docker, which pulls the image when it has none."""

    name: str


class NotFound(Struct, frozen=True):
    """No Loki; `why` says so in a sentence and how to get one."""

    why: str


type Found = Running | Executable | Image | NotFound


class LokiError(Exception):
    """Raised when a Loki does not start or does not answer; the message has its last words."""


class LokiLine(Struct, frozen=True):
    """An entry as Loki gives it back; `timestamp` is in ns since 1970."""

    labels: dict[str, str]
    timestamp: int
    line: str
    metadata: dict[str, str]


def find_loki(environ: Mapping[str, str], tell: Tell) -> Found:
    """Find a Loki: `LOKI_URL`, else `loki` on PATH, else Docker, else one that Go builds."""
    if url := environ.get("LOKI_URL"):
        return Running(url.removesuffix("/").removesuffix(PUSH_PATH))
    if path := shutil.which("loki", path=environ.get("PATH")):
        return Executable(Path(path))
    if _docker_answers(environ):
        return Image(IMAGE)
    return find_executable(environ, tell)


def find_executable(environ: Mapping[str, str], tell: Tell) -> Executable | NotFound:
    """Find a Loki that is a file: `loki` on PATH, else one that Go builds."""
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


class Loki:
    """A Loki that we started; `url` has no path, `pid` is the process's."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.url = url
        self.pid = process.pid
        self._process = process
        self._directory = directory

    def wait_until_ready(self, seconds: float, tell: Tell) -> None:
        """Return when Loki takes pushes and queries.

        Raises:
            LokiError: it ended, or is not ready after `seconds`.
        """
        began = time.monotonic()
        while not _is_ready(self.url):
            spent = time.monotonic() - began
            tell(f"starting Loki: {clock_face(spent)}")
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(0.05)
                raise LokiError(_last_words(self._directory, code))
            if spent > seconds:
                raise LokiError(f"Loki is not ready after {clock_face(spent)}")
        tell("")

    def override(self, tenant: str, limits: Mapping[str, Any]) -> None:
        """Give a tenant limits of its own (keys of `limits_config`); return when they hold.

        They take the place of those that it was given before.

        Raises:
            LokiError: Loki does not take them (an unknown key, or a tenant of its first file).
        """
        file = self._directory / "tenants.yaml"
        before, held = file.read_text(), self._overrides()
        start = f"  {json.dumps(tenant)}: "
        others = [line for line in before.splitlines(keepends=True) if not line.startswith(start)]
        # JSON is YAML.
        after = "".join(others) + f"{start}{json.dumps(dict(limits))}\n"
        if after == before:
            return
        _replace(file, after)
        if self._wait_for_overrides(lambda now: now != held) is None:
            _replace(file, before)
            self._wait_for_overrides(lambda now: now == held)
            raise LokiError(f"Loki does not take these limits: {dict(limits)}")

    def _wait_for_overrides(self, hold: Callable[[str | None], bool]) -> str | None:
        deadline = time.monotonic() + _OVERRIDE_SECONDS
        while not hold(now := self._overrides()):
            if time.monotonic() > deadline:
                raise LokiError("Loki does not read its overrides")
            time.sleep(0.02)
        return now

    def _overrides(self) -> str | None:
        """Read the hash of the overrides that hold; None when the file has a fault."""
        metrics = _get(f"{self.url}/metrics", None, {}).text
        if re.search(r"^loki_runtime_config_last_reload_successful\S* 0", metrics, re.MULTILINE):
            return None
        match = re.search(r'^loki_runtime_config_hash.*sha256="(\w+)"', metrics, re.MULTILINE)
        return match[1] if match else None

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait(self, stopped: threading.Event) -> None:
        """Return when `stopped` is set.

        Raises:
            LokiError: Loki ended before.
        """
        while not stopped.wait(0.2):
            if self._process.poll() is not None:
                raise LokiError(_last_words(self._directory, self._process.returncode))


def _replace(file: Path, text: str) -> None:
    """Write by renaming, so that Loki never reads half a file."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


@contextmanager
def start(
    found: Executable | Image,
    directory: Path,
    *,
    profile: Profile = "open",
    port: int = 0,
    tell: Tell,
) -> Iterator[Loki]:
    """Run a Loki on loopback as long as the block lasts; it keeps everything in `directory`.

    Port 0 takes a free one. The directory stays; delete it after the block only, as Loki writes
    while it stops.

    Raises:
        LokiError: Loki ends or is not ready in time.
    """
    directory.mkdir(parents=True, exist_ok=True)
    loki = _started(found, directory, profile, port, tell)
    try:
        yield loki
    finally:
        loki.stop()


def _started(
    found: Executable | Image, directory: Path, profile: Profile, port: int, tell: Tell
) -> Loki:
    """Start a Loki, again when somebody took a port between our choice and its start."""
    seconds = _IMAGE_READY_SECONDS if isinstance(found, Image) else _READY_SECONDS
    for attempts_left in (2, 1, 0):
        http_port = port or _free_port()
        _write_config(found, directory, profile, http_port)
        loki = _launch(found, directory, http_port)
        try:
            loki.wait_until_ready(seconds, tell)
        except LokiError as error:
            loki.stop()
            if port or not attempts_left or _ADDRESS_TAKEN not in str(error):
                raise
        except BaseException:
            loki.stop()
            raise
        else:
            return loki
    raise AssertionError


def _launch(found: Executable | Image, directory: Path, http_port: int) -> Loki:
    match found:
        case Executable(path):
            command = [os.fspath(path)]
        case Image(name):
            command = _docker_run(name, directory, http_port)
        case _:
            assert_never(found)
    with (directory / "loki.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-config.file=loki.yaml"],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is ours to handle: Loki stops last.
            start_new_session=True,
        )
    return Loki(f"http://127.0.0.1:{http_port}", process, directory)


def _docker_run(image: str, directory: Path, port: int) -> list[str]:
    """Docker in the foreground: a SIGTERM reaches the container, which is then removed."""
    user = f"{os.getuid()}:{os.getgid()}"
    place = ["-v", f"{directory.resolve()}:/loki-local", "-w", "/loki-local", "--user", user]
    return ["docker", "run", "--rm", *place, "-p", f"127.0.0.1:{port}:{port}", image]


def _write_config(
    found: Executable | Image, directory: Path, profile: Profile, http_port: int
) -> None:
    here = Path(__file__).parent
    stock = profile == "stock"
    config = Template((here / "loki.yaml").read_text()).substitute(
        auth=str(profile != "demo").lower(),
        # In a container only Docker's port mapping, which is on loopback, leads here.
        address="0.0.0.0" if isinstance(found, Image) else "127.0.0.1",  # noqa: S104 - a container has no other
        http_port=http_port,
        grpc_port=_free_port(),
        oldest="2020-01-01" if stock else "1970-01-01",
        max_chunk_age="2h" if stock else "175200h",
        wal=str(profile == "durable").lower(),
    )
    generous = "" if stock else (here / "loki-generous.yaml").read_text()
    (directory / "loki.yaml").write_text(config + generous)
    tenants = (here / "loki-fault-tenants.yaml").read_text() if stock else "overrides:\n"
    (directory / "tenants.yaml").write_text(tenants)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_ready(url: str) -> bool:
    try:
        return _get(f"{url}/ready", None, {}).ok
    except LokiError:
        return False


def _last_words(directory: Path, code: int) -> str:
    log = directory / "loki.log"
    last = log.read_text(errors="replace").splitlines()[-5:]
    return "\n".join([f"Loki ended by itself (exit code {code}), the last of {log}:", *last])


def query_range(  # noqa: PLR0913 -- they are what the API takes
    url: str,
    selector: str,
    *,
    start_ns: int,
    end_ns: int,
    tenant: str | None = None,
    limit: int = 1_000_000,
) -> list[LokiLine]:
    """Ask a Loki for the entries of `[start_ns, end_ns)`, in the order of their time.

    Loki's own limit is 5000 entries a query; the profiles `open` and `demo` allow 1,000,000.

    Raises:
        LokiError: no answer, or another one than 200.
    """
    answer = _get(
        f"{url}/loki/api/v1/query_range",
        tenant,
        {
            "query": selector,
            "start": str(start_ns),
            "end": str(end_ns),
            "limit": str(limit),
            "direction": "forward",
        },
    )
    if not answer.ok:
        raise LokiError(f"Loki answered {answer.status_code}: {answer.text[:500].strip()}")
    lines = [
        # Loki 2.6 knows no structured metadata, and gives no third value.
        LokiLine(stream["stream"], int(at), line, (rest or [{}])[0].get("structuredMetadata", {}))
        for stream in answer.json()["data"]["result"]
        for at, line, *rest in stream["values"]
    ]
    return sorted(lines, key=lambda line: line.timestamp)


def _get(url: str, tenant: str | None, params: Mapping[str, str]) -> requests.Response:
    headers = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
    if tenant:
        headers["X-Scope-OrgID"] = tenant
    with requests.Session() as session:
        # A proxy or a .netrc must not come between us and loopback.
        session.trust_env = False
        try:
            return session.get(url, headers=headers, params=params, timeout=60)
        except requests.RequestException as error:
            raise LokiError(f"Loki does not answer: {type(error).__name__}") from None


def main(arguments: list[str] | None = None) -> int:
    """Run Loki until Ctrl-C or SIGTERM (`scripts/loki`)."""
    parser = argparse.ArgumentParser(prog="scripts/loki", description=main.__doc__)
    parser.add_argument("--binary", action="store_true", help="only print the executable's path")
    parser.add_argument("--profile", choices=("demo", "open", "stock"), default="demo")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    options = parser.parse_args(arguments)
    tell = on_stream()
    found = (find_executable if options.binary else find_loki)(os.environ, tell)
    match found:
        case NotFound(why):
            sys.exit(why)
        case Running(url):
            sys.exit(f"LOKI_URL is set: a Loki runs already, at {url}")
        case Executable(path) if options.binary:
            sys.stdout.write(f"{path}\n")
        case Executable() | Image():
            _run(found, options.profile, options.port, tell)
        case _:
            assert_never(found)
    return 0


def _run(found: Executable | Image, profile: Profile, port: int, tell: Tell) -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with TemporaryDirectory(prefix="loki-shipper-") as directory:
        try:
            with start(found, Path(directory), profile=profile, port=port, tell=tell) as loki:
                sys.stdout.write(f"{loki.url}\n")
                sys.stdout.flush()
                loki.wait(stopped)
        except LokiError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
