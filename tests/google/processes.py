"""The service as a process of its own, as in its container."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from loki_shipper.local.loki import free_port

_SECONDS = 30


class ServiceProcess:
    """The service at a port of its own. It can be killed, and started again at the same port."""

    def __init__(self, environ: Mapping[str, str], log: Path, python: str = sys.executable) -> None:
        self._python = python
        self.port = free_port()
        self.log = log
        self.killed = 0
        self._environ = {"PATH": os.environ["PATH"], **environ, "PORT": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where Pub/Sub posts to."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, "-m", "loki_shipper.google"],
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + _SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without a warning."""
        self._end(signal.SIGKILL)
        self.killed += 1

    def stop(self) -> int:
        """End it as Cloud Run does, and give its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        return process.wait(_SECONDS)

    def _answers(self) -> bool:
        try:
            return requests.get(self.url, timeout=2).ok
        except requests.RequestException:
            return False


@contextmanager
def run_service(
    environ: Mapping[str, str], log: Path, python: str = sys.executable
) -> Iterator[ServiceProcess]:
    """Run the service, without a check of tokens."""
    service = ServiceProcess({"VERIFY_PUSHES": "off", **environ}, log, python)
    try:
        service.start()
        yield service
    finally:
        service.stop()
