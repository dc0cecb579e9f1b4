"""Runs a real Loki on loopback: for the tests, for the demo and for `scripts/loki`."""

import argparse
import json
import os
import re
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
from typing import Any, Literal, assert_never

from loki_shipper.local.find_loki import (
    Executable,
    Image,
    NotFound,
    Running,
    find_executable,
    find_loki,
)
from loki_shipper.local.progress import Tell, clock_face, on_stream
from loki_shipper.local.query_loki import LokiError, get

type Profile = Literal["open", "stock", "demo", "durable"]
"""The limits of a Loki that we start.

`open` accepts lines of any age and any amount, and separates tenants. `demo` is `open` without
tenants, which is easier for Grafana. `stock` has Loki's own limits and the tenants of
`loki-fault-tenants.yaml`, each with a fault of its own. `durable` is `open` with a write-ahead log:
after a kill, the next Loki in the same directory still has the lines.
"""

_STOP_SECONDS = 20.0
_READY_SECONDS = 120.0
_OVERRIDE_SECONDS = 30.0
_IMAGE_READY_SECONDS = 600.0
"""Docker may have to pull the image first."""

_ADDRESS_TAKEN = "address already in use"


class Loki:
    """A Loki that we started; `url` has no path, `pid` is its process id."""

    def __init__(self, url: str, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.url = url
        self.pid = process.pid
        self._process = process
        self._directory = directory

    def wait_until_ready(self, seconds: float, tell: Tell) -> None:
        """Wait until Loki accepts pushes and queries.

        Raises:
            LokiError: Loki ended, or is not ready after `seconds`.
        """
        began = time.monotonic()
        while not _is_ready(self.url):
            spent = time.monotonic() - began
            tell(f"starting Loki: {clock_face(spent)}")
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(0.05)
                raise LokiError(_end_of_log(self._directory, code))
            if spent > seconds:
                raise LokiError(f"Loki is not ready after {clock_face(spent)}")
        tell("")

    def override(self, tenant: str, limits: Mapping[str, Any]) -> None:
        """Set a tenant's limits (keys of `limits_config`) and wait until Loki applies them.

        They replace the limits that an earlier call set. If the tenant has pushed before, Loki
        applies a new `ingestion_rate_mb` up to ten seconds later: its distributor looks so often.

        Raises:
            LokiError: Loki rejects them (an unknown key, or a tenant of its first file).
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
            raise LokiError(f"Loki rejects these limits: {dict(limits)}")

    def _wait_for_overrides(self, hold: Callable[[str | None], bool]) -> str | None:
        deadline = time.monotonic() + _OVERRIDE_SECONDS
        while not hold(now := self._overrides()):
            if time.monotonic() > deadline:
                raise LokiError("Loki does not read its overrides")
            time.sleep(0.02)
        return now

    def _overrides(self) -> str | None:
        """Read the hash of the active overrides; None when Loki cannot read the file."""
        metrics = get(f"{self.url}/metrics").text
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
        """Wait until `stopped` is set.

        Raises:
            LokiError: Loki ended first.
        """
        while not stopped.wait(0.2):
            if self._process.poll() is not None:
                raise LokiError(_end_of_log(self._directory, self._process.returncode))


def _replace(file: Path, text: str) -> None:
    """Write a file by renaming, so that Loki never reads half of it."""
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
    """Run a Loki on loopback inside a `with` block, with its data in `directory`.

    Port 0 chooses a free port. Delete the directory only after the block: Loki writes while it
    stops.

    Raises:
        LokiError: Loki ends, or is not ready in time.
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
    """Start a Loki; retry if another process took its port before the start."""
    seconds = _IMAGE_READY_SECONDS if isinstance(found, Image) else _READY_SECONDS
    for attempts_left in (2, 1, 0):
        http_port = port or free_port()
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
            # Ctrl-C must not reach Loki: it stops last.
            start_new_session=True,
        )
    return Loki(f"http://127.0.0.1:{http_port}", process, directory)


def _docker_run(image: str, directory: Path, port: int) -> list[str]:
    """Return a command for Docker in the foreground: SIGTERM stops and removes the container."""
    user = f"{os.getuid()}:{os.getgid()}"
    mount = ["-v", f"{directory.resolve()}:/loki-local", "-w", "/loki-local", "--user", user]
    return ["docker", "run", "--rm", *mount, "-p", f"127.0.0.1:{port}:{port}", image]


def _write_config(
    found: Executable | Image, directory: Path, profile: Profile, http_port: int
) -> None:
    here = Path(__file__).parent
    stock = profile == "stock"
    config = Template((here / "loki.yaml").read_text()).substitute(
        auth=str(profile != "demo").lower(),
        # Docker maps the container's port to loopback.
        address="0.0.0.0" if isinstance(found, Image) else "127.0.0.1",  # noqa: S104 - inside a container only
        http_port=http_port,
        grpc_port=free_port(),
        oldest="2020-01-01" if stock else "1970-01-01",
        max_chunk_age="2h" if stock else "175200h",
        wal=str(profile == "durable").lower(),
    )
    generous = "" if stock else (here / "loki-generous.yaml").read_text()
    (directory / "loki.yaml").write_text(config + generous)
    tenants = (here / "loki-fault-tenants.yaml").read_text() if stock else "overrides:\n"
    (directory / "tenants.yaml").write_text(tenants)


def free_port() -> int:
    """Return a port of loopback that no process uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_ready(url: str) -> bool:
    try:
        return get(f"{url}/ready").ok
    except LokiError:
        return False


def _end_of_log(directory: Path, code: int) -> str:
    log = directory / "loki.log"
    last = log.read_text(errors="replace").splitlines()[-5:]
    return "\n".join([f"Loki ended (exit code {code}); the end of {log}:", *last])


def main(arguments: list[str] | None = None) -> int:
    """Run Loki until Ctrl-C or SIGTERM (`scripts/loki`)."""
    parser = argparse.ArgumentParser(prog="scripts/loki", description=main.__doc__)
    parser.add_argument(
        "--binary", action="store_true", help="only print the path of the executable"
    )
    parser.add_argument("--profile", choices=("demo", "open", "stock"), default="demo")
    parser.add_argument("--port", type=int, default=0, help="default: a free port")
    options = parser.parse_args(arguments)
    tell = on_stream()
    found = (find_executable if options.binary else find_loki)(os.environ, tell)
    match found:
        case NotFound(why):
            sys.exit(why)
        case Running(url):
            sys.exit(f"LOKI_URL is set: Loki already runs at {url}")
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
