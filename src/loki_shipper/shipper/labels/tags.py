"""From a log group to its tags: the index, then memory, then AWS; stale before none.

A failure is never "no tags", and nothing here raises: tags must not cost a line. What is known
stays in use for as long as AWS does not answer, so that a stream does not flap.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import assert_never

from msgspec import Struct

from loki_shipper.shipper.labels.tag_index import TagIndex

_TTL = 600.0
_INDEX_TTL = 120.0
_INDEX_MISS = 5.0
_BACKOFF = 30.0
_BREAK = 300.0
"""Seconds that fetched tags and the index stay fresh, that the index stays fresh for a log group
which it does not have, and that a failure and a denial keep us from asking again."""

_OF_FUNCTIONS = "/aws/lambda/"


class LogGroupTags(Struct, frozen=True):
    """A log group's tags; not `known`: AWS did not say, so it may have others."""

    tags: Mapping[str, str]
    known: bool = True


class Unavailable(Struct, frozen=True):
    """The tags could not be read, which is not the same as none.

    `denied`: nor will those of others; `gone`: there is no such log group any more.
    """

    denied: bool = False
    gone: bool = False


class IndexUnchanged(Struct, frozen=True):
    """The index is the one that we know; or it is missing, or could not be read."""


class Sources(Struct, frozen=True):
    """Who knows the tags.

    `ask(log group)` asks AWS once, with a short bound, for a log group of our own account.
    `read_index(account)` reads an account's index, conditionally; None: nobody keeps one.
    """

    ask: Callable[[str], Mapping[str, str] | Unavailable]
    read_index: Callable[[str], TagIndex | IndexUnchanged | None]


class _CachedTags(Struct, frozen=True):
    """Tags until they are asked for again; None: the log group was deleted before we asked."""

    tags: Mapping[str, str] | None
    until: float


class _Index(Struct, frozen=True):
    """An index as it was last read; `index` None: we have no copy of it."""

    index: TagIndex | None
    is_kept: bool
    read_at: float
    until: float


class Tags:
    """Remembers the tags of log groups for as long as the execution environment lives.

    `account` is the function's: log groups of other accounts are looked up in an index only.
    `jitter` spreads the calls of environments that started together. `missing` counts look-ups
    whose tags are not known, `failures` calls that failed. Several threads may ask at a time.
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
        self._known: dict[str, _CachedTags] = {}
        self._silent_until = float("-inf")
        self._lock = Lock()
        self.missing = 0
        self.failures = 0

    def __call__(self, owner: str, log_group: str) -> LogGroupTags:
        """Give the tags of an account's log group, those known last where AWS does not answer."""
        with self._lock:
            return self._tags(owner, log_group, self._clock())

    def _tags(self, owner: str, log_group: str, now: float) -> LogGroupTags:
        known = self._index(owner, log_group, now)
        index = known.index or TagIndex()
        if (tagged := index.groups.get(log_group)) is not None:
            return LogGroupTags(tagged.tags)
        own = self._own(log_group, now) if owner == self._account else None
        # Where the subscriber keeps an index, a function's tags may stand in for missing ones. That
        # holds too while the index cannot be read.
        is_open = known.is_kept and log_group.startswith(_OF_FUNCTIONS)
        if own is None or (not own and is_open):
            self.missing += 1
            return LogGroupTags({}, known=False)
        return LogGroupTags(own)

    def _index(self, account: str, log_group: str, now: float) -> _Index:
        known = self._indexes.get(account)
        if known is None or now >= known.until or _may_be_newer(known, log_group, now):
            answer = self._sources.read_index(account)
            # An index that is gone or cannot be read leaves us the one that we have.
            index = None if known is None else known.index
            if isinstance(answer, TagIndex):
                index = answer
            is_kept = answer is not None or index is not None
            until = now + _INDEX_TTL + self._jitter(_INDEX_TTL / 2)
            known = self._indexes[account] = _Index(index, is_kept, now, until)
        return known

    def _own(self, log_group: str, now: float) -> Mapping[str, str] | None:
        known = self._known.get(log_group)
        if known is None or now >= known.until:
            known = self._ask(log_group, known, now) or known
        return None if known is None else known.tags

    def _ask(self, log_group: str, known: _CachedTags | None, now: float) -> _CachedTags | None:
        if now < self._silent_until:
            return None
        answer = self._sources.ask(log_group)
        match answer:
            case Unavailable(gone=True):
                # Lines of a deleted log group may still come; nobody else is to wait for that.
                return self._remember(log_group, None if known is None else known.tags, now)
            case Unavailable(denied=denied):
                self.failures += 1
                self._silent_until = now + (_BREAK if denied else _BACKOFF)
                return None
            case Mapping():
                return self._remember(log_group, dict(answer), now)
            case _:
                assert_never(answer)

    def _remember(self, log_group: str, tags: Mapping[str, str] | None, now: float) -> _CachedTags:
        known = _CachedTags(tags, now + _TTL + self._jitter(_TTL / 5))
        self._known[log_group] = known
        return known


def _may_be_newer(known: _Index, log_group: str, now: float) -> bool:
    """Tell whether to read an index again for a log group that our copy does not have.

    The subscriber writes the tags of a new log group in the run that links the log group.
    """
    if known.index is not None and log_group in known.index.groups:
        return False
    return known.is_kept and now >= known.read_at + _INDEX_MISS
