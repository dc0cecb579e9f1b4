"""The time as a run sees it; tests pass a simulated one."""

from collections.abc import Callable

from msgspec import Struct


class Clock(Struct, frozen=True):
    """Gives the time in ms since 1970, sleeps, and gives the seconds that are left of the run."""

    now: Callable[[], int]
    sleep: Callable[[float], None]
    remaining: Callable[[], float]


def wait_until(when: int, clock: Clock) -> bool:
    """Sleep until a time in ms since 1970.

    Returns False, without sleeping, if the run would end before that time.
    """
    seconds = max(0, when - clock.now()) / 1000
    if seconds >= clock.remaining():
        return False
    clock.sleep(seconds)
    return True
