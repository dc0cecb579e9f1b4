"""From a log group to its tags: memory first, stale before none, never an exception."""

from collections.abc import Callable, Mapping
from typing import assert_never

from msgspec import Struct

_TTL = 600.0
_BACKOFF = 30.0
_BREAK = 300.0
"""Seconds that fetched tags stay fresh, that a failure, and that a denial, keeps us from asking."""


class Unavailable(Struct, frozen=True):
    """The tags could not be read, which is not the same as none; `denied`: nor soon will be."""

    denied: bool = False


class Known(Struct, frozen=True):
    """Tags as they were until `until`, in seconds of the clock."""

    tags: Mapping[str, str]
    until: float


class Tags:
    """Remembers the tags of log groups for as long as the sandbox lives.

    `fetch` asks AWS once, with a short bound; `jitter(x)` gives up to x seconds, so that sandboxes
    born together do not ask together. `missing` counts look-ups that had nothing to say.
    """

    def __init__(
        self,
        fetch: Callable[[str], Mapping[str, str] | Unavailable],
        *,
        clock: Callable[[], float],
        jitter: Callable[[float], float],
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._jitter = jitter
        self._known: dict[str, Known] = {}
        self._silent_until = float("-inf")
        self.missing = 0

    def __call__(self, log_group: str) -> Mapping[str, str]:
        """Give the tags of a log group; empty where there are none, or none are known."""
        now = self._clock()
        known = self._known.get(log_group)
        if known is not None and now < known.until:
            return known.tags
        if now >= self._silent_until:
            known = self._ask(log_group, now) or known
        if known is None:
            self.missing += 1
            return {}
        return known.tags

    def _ask(self, log_group: str, now: float) -> Known | None:
        answer = self._fetch(log_group)
        match answer:
            case Unavailable(denied=denied):
                self._silent_until = now + (_BREAK if denied else _BACKOFF)
                return None
            case Mapping():
                fresh = Known(dict(answer), now + _TTL + self._jitter(_TTL / 5))
                self._known[log_group] = fresh
                return fresh
            case _:
                assert_never(answer)
