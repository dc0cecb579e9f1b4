"""Notices, while a run links log groups, that somebody has unlinked everything."""

from collections.abc import Callable

from loki_shipper.subscriber.memory import Memory

EVERY_MS = 5_000
"""Longest time between two reads of the memory, in ms."""

NOTICED_MS = 10_000
"""Time after the order in which another run may still put a filter, in ms.

That run reads the memory every five seconds; the read and the call after it take time too.
"""


class UnlinkAllError(Exception):
    """Raised in place of linking a log group after somebody has unlinked everything."""


class StopOrder:
    """Reads from the memory whether everything is to be unlinked, every five seconds at most.

    `read` reads the memory and raises AwsError; `now` is in ms since 1970; at `since` there was no
    order.
    """

    def __init__(self, read: Callable[[], Memory], now: Callable[[], int], since: int) -> None:
        self._read = read
        self._now = now
        self._checked = since

    def check(self) -> None:
        """Read the memory if the last read is too old. Raises UnlinkAllError, AwsError."""
        began = self._now()
        if began - self._checked < EVERY_MS:
            return
        if self._read().stopped:
            raise UnlinkAllError
        self._checked = began
