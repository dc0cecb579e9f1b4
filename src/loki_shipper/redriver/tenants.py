"""Which tenants take lines in this run, so that one that does not holds up no other."""

from collections.abc import Callable
from threading import Lock

_PAUSE = 60.0
"""Seconds for which nothing is sent to a tenant whose pushes fail for reasons that pass."""

_FAILURES = 3
"""Failures in a row after which a tenant is closed, and after which the next tenants are closed at
their first, as Loki may be down."""

_EXPLAINED = ("blocked", "denied", "not_loki", "status_", "tenant")
"""How the reasons begin that will not pass within a run."""

_LIMITED = ("rate_limited", "stream_limit")

CLOSED = "closed"
"""The reason for which nothing is sent to a tenant whose pushes failed before."""


class Tenants:
    """Follows what Loki answers to each tenant's pushes.

    `clock` is in seconds. `accepted` counts by tenant the batches that Loki dealt with. Several
    threads may push at a time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str | None, int] = {}
        self._closed: dict[str | None, tuple[str, float]] = {}
        self._failures_in_a_row = 0
        self._lock = Lock()
        self.accepted: dict[str | None, int] = {}

    def closed_reason(self, tenant: str | None) -> str | None:
        """Give the reason why nothing is to be sent to a tenant now; None: it may be."""
        reason, until = self._closed.get(tenant, ("", 0.0))
        return reason if self._clock() < until else None

    def on_answer(self, tenant: str | None, reason: str | None) -> None:
        """Note that Loki dealt with a batch (None), or why the batch was given up."""
        with self._lock:
            self._record(tenant, reason)

    def _record(self, tenant: str | None, reason: str | None) -> None:
        if reason is None:
            self._failures.pop(tenant, None)
            self._failures_in_a_row = 0
            self.accepted[tenant] = self.accepted.get(tenant, 0) + 1
        elif reason.startswith(_EXPLAINED):
            self._close(tenant, reason, float("inf"))
        elif reason.startswith(_LIMITED):
            self._close(tenant, reason, _PAUSE)
        else:
            self._failures_in_a_row += 1
            self._failures[tenant] = self._failures.get(tenant, 0) + 1
            if max(self._failures[tenant], self._failures_in_a_row) >= _FAILURES:
                self._close(tenant, CLOSED, _PAUSE)

    def _close(self, tenant: str | None, reason: str, seconds: float) -> None:
        self._closed[tenant] = (reason, self._clock() + seconds)
        self._failures.pop(tenant, None)


def is_of_tenant(reason: str) -> bool:
    """Tell whether a reason names a tenant's trouble, which is none of the object's."""
    return reason.startswith((*_EXPLAINED, *_LIMITED, CLOSED))
