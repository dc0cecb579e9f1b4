"""Puts requests together that arrive together, and answers each by the fate of its own entry."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

from loki_shipper.google.entry import LoggedEntry

WINDOW: Final = 0.05
"""Seconds for which an entry waits at most for others, while Loki is busy with earlier ones."""

_MAX_ENTRIES: Final = 1000
_MAX_BYTES: Final = 1024 * 1024
"""The most entries, and bytes of messages, that are shipped together."""

_MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""The most bytes of messages in memory. Pub/Sub sends the others again."""

type ShipGathered = Callable[[list[LoggedEntry]], Sequence[bool]]
"""Ships entries; tells for each whether Loki holds it, or it is kept aside. It may block."""


class OverloadedError(Exception):
    """Raised when there is no room for another entry."""


class Gatherer:
    """Gathers entries in the event loop, and ships them in the threads of `executor`.

    An entry is shipped at once if no other is under way. Otherwise it waits for the end of that, or
    for the `window`: the more entries arrive, the more of them share a push.
    """

    def __init__(self, ship: ShipGathered, executor: Executor, *, window: float = WINDOW) -> None:
        self._ship = ship
        self._executor = executor
        self._window = window
        self._waiting: list[tuple[LoggedEntry, asyncio.Future[bool]]] = []
        self._waiting_bytes = 0
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._undecided: set[asyncio.Future[bool]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ship(self, entry: LoggedEntry) -> bool:
        """Ship an entry together with others, and return whether it is safe.

        Raises OverloadedError.
        """
        size = len(entry.message.data)
        if self._held_bytes and self._held_bytes + size > _MAX_HELD_BYTES:
            raise OverloadedError
        loop = self._loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()
        self._undecided.add(done)
        self._waiting.append((entry, done))
        self._waiting_bytes += size
        self._held_bytes += size
        if len(self._waiting) >= _MAX_ENTRIES or self._waiting_bytes >= _MAX_BYTES:
            self._flush()
        elif self._timer is None:
            window = self._window if self._under_way else 0
            self._timer = loop.call_later(window, self._flush)
        try:
            return await done
        finally:
            self._held_bytes -= size
            self._undecided.discard(done)

    def give_up_in(self, seconds: float) -> None:
        """Let every entry that is undecided then come again. A signal handler may call this."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._give_up)

    def _give_up(self) -> None:
        for done in self._undecided:
            if not done.done():
                done.set_result(False)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        gathered, self._waiting = self._waiting, []
        self._waiting_bytes, self._timer = 0, None
        task = asyncio.get_running_loop().create_task(self._ship_gathered(gathered))
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._waiting and not self._under_way:
            self._flush()

    async def _ship_gathered(
        self, gathered: list[tuple[LoggedEntry, asyncio.Future[bool]]]
    ) -> None:
        loop = asyncio.get_running_loop()
        entries = [entry for entry, _ in gathered]
        safe: Sequence[bool] = [False] * len(entries)
        try:
            safe = await loop.run_in_executor(self._executor, self._ship, entries)
        finally:
            for (_, done), is_safe in zip(gathered, safe, strict=True):
                # A request that was cut off waits for no answer.
                if not done.done():
                    done.set_result(is_safe)
