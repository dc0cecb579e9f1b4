"""Decides which tenants take lines in this run, so that one tenant does not block the others."""

from collections.abc import Callable
from threading import Lock
from typing import assert_never

from loki_shipper.shipper.delivery.judge import cause

_PAUSE = 60.0
"""Seconds for which a tenant stays closed if its pushes may succeed later."""

_FAILURES = 3
"""Failures in a row that close a tenant. After as many failures in a row of any tenants, Loki may
be down, and one failure closes a tenant."""

CLOSED = "closed"
"""The reason why nothing is sent to a tenant after `_FAILURES`."""


class Tenants:
    """Closes a tenant, so that nothing is sent to it, after Loki has refused its pushes.

    `clock` is in seconds. `accepted` counts the processed batches by tenant. Several threads may
    push at a time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str | None, int] = {}
        self._closed: dict[str | None, tuple[str, float]] = {}
        self._failures_in_a_row = 0
        self._lock = Lock()
        self.accepted: dict[str | None, int] = {}

    def closed_reason(self, tenant: str | None) -> str | None:
        """Give the reason why a tenant is closed now, or None."""
        reason, until = self._closed.get(tenant, ("", 0.0))
        return reason if self._clock() < until else None

    def on_answer(self, tenant: str | None, reason: str | None) -> None:
        """Record that Loki processed a batch (None), or the reason for giving it up."""
        with self._lock:
            self._record(tenant, reason)

    def _record(self, tenant: str | None, reason: str | None) -> None:
        if reason is None:
            self._failures.pop(tenant, None)
            self._failures_in_a_row = 0
            self.accepted[tenant] = self.accepted.get(tenant, 0) + 1
            return
        match cause(reason):
            case "settings":
                self._close(tenant, reason, float("inf"))
            case "limit":
                self._close(tenant, reason, _PAUSE)
            case "failure":
                self._failures_in_a_row += 1
                self._failures[tenant] = self._failures.get(tenant, 0) + 1
                if max(self._failures[tenant], self._failures_in_a_row) >= _FAILURES:
                    self._close(tenant, CLOSED, _PAUSE)
            case unknown:
                assert_never(unknown)

    def _close(self, tenant: str | None, reason: str, seconds: float) -> None:
        self._closed[tenant] = (reason, self._clock() + seconds)
        self._failures.pop(tenant, None)


def is_of_tenant(reason: str) -> bool:
    """Tell whether a reason concerns a tenant, and not a single object."""
    return reason == CLOSED or cause(reason) != "failure"
