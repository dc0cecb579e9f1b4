"""The time as a run sees it, so that tests can simulate it."""

from collections.abc import Callable

from msgspec import Struct


class Clock(Struct, frozen=True):
    """Gives the time in ms since 1970, sleeps and tells what remains in seconds."""

    now: Callable[[], int]
    sleep: Callable[[float], None]
    remaining: Callable[[], float]


def wait_until(when: int, clock: Clock) -> bool:
    """Sleep until a time in ms since 1970; False, without sleeping, where the run ends before."""
    seconds = max(0, when - clock.now()) / 1000
    if seconds >= clock.remaining():
        return False
    clock.sleep(seconds)
    return True
