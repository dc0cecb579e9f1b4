"""A real Loki that goes away and comes back."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from loki_shipper.local.find_loki import Executable, Image
from loki_shipper.local.loki import start
from loki_shipper.local.progress import Tell
from loki_shipper.local.query_loki import LokiLine, query_range

_HOUR_NS: Final = 3_600_000_000_000


class LokiWithOutages:
    """A real Loki that can be stopped and started again, with what it had taken."""

    def __init__(self, found: Executable | Image, directory: Path, tell: Tell) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._made = (found, directory, tell)
        self._running = ExitStack()

    def start(self) -> None:
        found, directory, tell = self._made
        self._running.enter_context(
            start(found, directory, profile="durable", port=self.port, tell=tell)
        )

    def stop(self) -> None:
        self._running.close()

    def lines(self, selector: str, tenant: str) -> list[LokiLine]:
        now = time.time_ns()
        return query_range(
            self.url,
            selector,
            start_ns=now - _HOUR_NS,
            end_ns=now + _HOUR_NS,
            tenant=tenant,
            limit=5000,
        )
