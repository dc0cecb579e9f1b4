"""The time as a run sees it, so that tests can simulate it."""

from collections.abc import Callable

from msgspec import Struct


class Clock(Struct, frozen=True):
    """Gives the time in ms since 1970, sleeps and tells what remains in seconds."""

    now: Callable[[], int]
    sleep: Callable[[float], None]
    remaining: Callable[[], float]
