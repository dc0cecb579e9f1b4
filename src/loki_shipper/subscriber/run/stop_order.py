"""Notices, while a run links log groups, that somebody has ordered everything to be unlinked."""

from collections.abc import Callable

from loki_shipper.subscriber.memory import Memory

EVERY_MS = 5_000
"""Longest time between two looks for the order, in ms."""

HEEDED_MS = 10_000
"""How long after the order another run may still put a filter, in ms.

It looks every five seconds; the look and the call after it take time too.
"""


class UnlinkOrderedError(Exception):
    """Raised in place of a call that would link a log group, where none is to be linked."""


class StopOrder:
    """Looks for the order in the memory, every five seconds at most.

    `read` reads the memory and raises AwsError, `now` is in ms since 1970; `since` is when there
    was no order yet.
    """

    def __init__(self, read: Callable[[], Memory], now: Callable[[], int], since: int) -> None:
        self._read = read
        self._now = now
        self._looked = since

    def check(self) -> None:
        """Look, if it is time to. Raises StoppedError, AwsError."""
        began = self._now()
        if began - self._looked < EVERY_MS:
            return
        if self._read().stopped:
            raise UnlinkOrderedError
        self._looked = began
