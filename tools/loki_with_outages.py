"""A real Loki that goes away and comes back, at a URL that stays its own."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from loki_shipper.local.find_loki import Executable, Image
from loki_shipper.local.loki import Loki, start
from loki_shipper.local.progress import Tell
from tools.forwarder import Forwarder, run_forwarder


class LokiWithOutages:
    """A real Loki that can be stopped or killed, and started again with what it had taken.

    Made by `run_loki_with_outages`. `killed` counts. `forwarder` is what `url` leads to.
    """

    def __init__(
        self, found: Executable | Image, directory: Path, tell: Tell, forwarder: Forwarder
    ) -> None:
        self.forwarder = forwarder
        self.killed = 0
        self._start = partial(start, found, directory, profile="durable", tell=tell)
        self._stack = ExitStack()
        self._running: Loki | None = None

    @property
    def url(self) -> str:
        """Where it is while it runs; otherwise connections are closed there."""
        return self.forwarder.url

    def start(self) -> None:
        """Start it, without the limits that tenants had."""
        self._running = self._stack.enter_context(self._start())
        self.forwarder.port = int(self._running.url.rpartition(":")[2])

    def stop(self) -> None:
        """Stop it; a second call does nothing."""
        self.forwarder.port = None
        self._stack.close()

    def kill(self) -> None:
        """End it without a warning."""
        assert self._running is not None
        os.kill(self._running.pid, signal.SIGKILL)
        self.killed += 1
        self.stop()

    def override(self, tenant: str, limits: Mapping[str, Any]) -> None:
        """Give a tenant limits of its own, as `Loki.override` does."""
        assert self._running is not None
        self._running.override(tenant, limits)


@contextmanager
def run_loki_with_outages(
    found: Executable | Image, directory: Path, tell: Tell
) -> Iterator[LokiWithOutages]:
    """Have a Loki inside a `with` block; it does not run until it is started."""
    with run_forwarder() as forwarder:
        loki = LokiWithOutages(found, directory, tell, forwarder)
        try:
            yield loki
        finally:
            loki.stop()
