"""From a log group to its tags: the index, then memory, then AWS; stale before none.

A failure is never "no tags", and nothing here raises: tags must not cost a line. What is known
stays in use for as long as AWS does not answer, so that a stream does not flap.
"""

from collections.abc import Callable, Mapping
from typing import assert_never

from msgspec import Struct

from loki_shipper.shipper.tag_index import TagIndex

_TTL = 600.0
_INDEX_TTL = 120.0
_BACKOFF = 30.0
_BREAK = 300.0
"""Seconds that fetched tags and the index stay fresh, and that a failure and a denial keep us from
asking again."""


class Unavailable(Struct, frozen=True):
    """The tags could not be read, which is not the same as none.

    `denied`: nor will those of others; `gone`: there is no such log group any more.
    """

    denied: bool = False
    gone: bool = False


class Unchanged(Struct, frozen=True):
    """The index is the one that we know, or could not be read."""


class Sources(Struct, frozen=True):
    """Who knows the tags.

    `ask(log group)` asks AWS once, with a short bound, for a log group of our own account.
    `read_index(account)` reads an account's index, conditionally; None: there is none.
    """

    ask: Callable[[str], Mapping[str, str] | Unavailable]
    read_index: Callable[[str], TagIndex | Unchanged | None]


class _Known(Struct, frozen=True):
    tags: Mapping[str, str]
    until: float


class _Index(Struct, frozen=True):
    index: TagIndex | None
    until: float


class Tags:
    """Remembers the tags of log groups for as long as the sandbox lives.

    `account` is the function's: log groups of others are only ever looked up in an index. `jitter`
    spreads sandboxes that were born together. Counts look-ups in which the tags were not to be had
    (`missing`) and calls that failed (`failures`).
    """

    def __init__(
        self,
        account: str,
        sources: Sources,
        *,
        clock: Callable[[], float],
        jitter: Callable[[float], float],
    ) -> None:
        self._account = account
        self._sources = sources
        self._clock = clock
        self._jitter = jitter
        self._indexes: dict[str, _Index] = {}
        self._known: dict[str, _Known] = {}
        self._silent_until = float("-inf")
        self.missing = 0
        self.failures = 0

    def __call__(self, owner: str, log_group: str) -> Mapping[str, str]:
        """Give the tags of an account's log group; empty where it has none, or none are known."""
        now = self._clock()
        index = self._index(owner, now)
        if index is not None and (tagged := index.groups.get(log_group)) is not None:
            return tagged.tags
        if owner == self._account:
            return self._own(log_group, now)
        self.missing += 1
        return {}

    def _index(self, account: str, now: float) -> TagIndex | None:
        known = self._indexes.get(account)
        if known is not None and now < known.until:
            return known.index
        answer = self._sources.read_index(account)
        # An index that is gone or cannot be read leaves us the one that we have.
        index = None if known is None else known.index
        if isinstance(answer, TagIndex):
            index = answer
        self._indexes[account] = _Index(index, now + _INDEX_TTL + self._jitter(_INDEX_TTL / 2))
        return index

    def _own(self, log_group: str, now: float) -> Mapping[str, str]:
        known = self._known.get(log_group)
        if known is None or now >= known.until:
            known = self._ask(log_group, known, now) or known
        if known is None:
            self.missing += 1
            return {}
        return known.tags

    def _ask(self, log_group: str, known: _Known | None, now: float) -> _Known | None:
        if now < self._silent_until:
            return None
        answer = self._sources.ask(log_group)
        match answer:
            case Unavailable(gone=True):
                # Lines of a deleted log group may still come; nobody else is to wait for that.
                return self._remember(log_group, {} if known is None else known.tags, now)
            case Unavailable(denied=denied):
                self.failures += 1
                self._silent_until = now + (_BREAK if denied else _BACKOFF)
                return None
            case Mapping():
                return self._remember(log_group, dict(answer), now)
            case _:
                assert_never(answer)

    def _remember(self, log_group: str, tags: Mapping[str, str], now: float) -> _Known:
        known = _Known(tags, now + _TTL + self._jitter(_TTL / 5))
        self._known[log_group] = known
        return known
