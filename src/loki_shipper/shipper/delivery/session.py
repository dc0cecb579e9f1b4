"""Pushes to Loki over connections that it keeps open, with credentials that it reloads."""

from collections.abc import Callable
from contextlib import suppress
from threading import Lock, local
from typing import Protocol

from loki_shipper.environment import SettingsError
from loki_shipper.model import Batch
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.encode import encode
from loki_shipper.shipper.delivery.push import LokiAccess, OpenSession, connect, push

_FRESH = 300.0
"""Seconds for which credentials stay cached unless they are refused."""


class ReadLokiAccess(Protocol):
    """Reads URL and credentials; `fresh` bypasses every cache. Raises SettingsError."""

    def __call__(self, *, fresh: bool) -> LokiAccess:
        """Read them."""
        ...


class LokiSession:
    """Pushes batches and counts `pushes` and their compressed `bytes`.

    If the credentials cannot be read again, the old ones stay in use: a secret store that is down
    must not stop delivery. As many threads may push at a time as there are `connections`.
    """

    def __init__(
        self, read: ReadLokiAccess, clock: Callable[[], float], *, connections: int = 1
    ) -> None:
        self._read = read
        self._clock = clock
        self._connections = connections
        self._renewing = Lock()
        self._last_push = local()
        self._use(read(fresh=False))
        self.pushes = 0
        self.bytes = 0

    def send(self, batch: Batch, *, seconds: float) -> Answer | NoAnswer:
        """Push a batch once, within `seconds`."""
        body = encode(batch)
        access, session = self._last_push.opened = self._opened
        self.pushes += 1
        self.bytes += len(body)
        return push(body, batch.stream.tenant, session=session, url=access.url, seconds=seconds)

    @property
    def is_private(self) -> bool:
        """Tell whether no credentials are sent unencrypted."""
        access = self._opened.access
        return not access.headers or access.url.startswith("https:")

    def refresh(self) -> None:
        """Read the credentials again if their cached copy has expired."""
        if self._clock() >= self._read_at + _FRESH:
            self._reload(fresh=False)

    def renew(self) -> bool:
        """Read refused credentials again; True if they differ from this thread's last push.

        Another thread may have read them again already.
        """
        refused = getattr(self._last_push, "opened", self._opened).access
        with self._renewing:
            if self._opened.access == refused:
                self._reload(fresh=True)
            return self._opened.access != refused

    def _reload(self, *, fresh: bool) -> None:
        self._read_at = self._clock()
        with suppress(SettingsError):
            access = self._read(fresh=fresh)
            if access != self._opened.access:
                self._opened.session.close()
                self._use(access)

    def _use(self, access: LokiAccess) -> None:
        self._opened = OpenSession(access, connect(access, connections=self._connections))
        self._read_at = self._clock()
