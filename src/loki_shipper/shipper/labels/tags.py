"""Gives a log group's tags: from the tag index, from memory, or from AWS.

Nothing here raises, as no line may be lost because of tags. A failed call does not mean "no tags":
stale tags stay in use while AWS does not answer, so that a stream keeps its labels.
"""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import assert_never

from msgspec import Struct

from loki_shipper.model import LogSource
from loki_shipper.shipper.labels.tag_index import TagIndex

_TTL = 600.0
_INDEX_TTL = 120.0
_INDEX_MISS = 5.0
_BACKOFF = 30.0
_BREAK = 300.0
"""Seconds that tags from AWS and the index stay fresh, that the index stays fresh for a log group
that it lacks, and that a failure and a denial stop calls to AWS."""

_OF_FUNCTIONS = "/aws/lambda/"


class LogGroupTags(Struct, frozen=True):
    """A log group's tags; not `known`: AWS did not give them, so it may have others."""

    tags: Mapping[str, str]
    known: bool = True


class TagsUnavailable(Struct, frozen=True):
    """The tags could not be read.

    `denied`: the function may not read tags of any log group. `gone`: the log group was deleted.
    """

    denied: bool = False
    gone: bool = False


class IndexUnchanged(Struct, frozen=True):
    """The index has not changed, is missing, or could not be read."""


class TagSources(Struct, frozen=True):
    """The calls that give tags.

    `fetch_tags(name)` asks AWS once, with a short timeout, for a log group of the function's
    account and Region, or for a bucket (`s3://NAME`). `read_index(account, region)` reads an index
    if it has changed; None: the stack has no index.
    """

    fetch_tags: Callable[[str], Mapping[str, str] | TagsUnavailable]
    read_index: Callable[[str, str], TagIndex | IndexUnchanged | None]


class _CachedTags(Struct, frozen=True):
    """Tags, fresh `until` a time; None: the log group was deleted before AWS gave its tags."""

    tags: Mapping[str, str] | None
    until: float


class _Index(Struct, frozen=True):
    """The last copy of an index, if any; `exists`: the stack has an index."""

    index: TagIndex | None
    exists: bool
    read_at: float
    until: float


class Tags:
    """Gives the tags of log groups, and caches them for the life of the execution environment.

    `account` and `region` are the function's: the tags of others come from their indexes only.
    `jitter` spreads the calls of execution environments that started together. `missing` counts
    look-ups without known tags, `failures` failed calls. Several threads may call this at a time.
    """

    def __init__(
        self,
        account: str,
        region: str,
        sources: TagSources,
        *,
        clock: Callable[[], float],
        jitter: Callable[[float], float],
    ) -> None:
        self._here = account, region
        self._sources = sources
        self._clock = clock
        self._jitter = jitter
        self._indexes: dict[tuple[str, str], _Index] = {}
        self._cached: dict[str, _CachedTags] = {}
        self._paused_until = float("-inf")
        self._lock = Lock()
        self.missing = 0
        self.failures = 0

    def __call__(self, source: LogSource) -> LogGroupTags:
        """Give the tags of a log group, stale ones if AWS does not answer."""
        with self._lock:
            return self._tags(source, self._clock())

    def _tags(self, source: LogSource, now: float) -> LogGroupTags:
        place, log_group = (source.account, source.region), source.log_group
        cached = self._index(place, log_group, now)
        index = cached.index or TagIndex()
        if (tagged := index.groups.get(log_group)) is not None:
            return LogGroupTags(tagged.tags)
        may_ask = place == self._here and not source.resource
        own = self._own(log_group, now) if may_ask else None
        # With an index, a function's tags may replace missing tags of its log group. So tags
        # are not known until the index has them, also while it cannot be read.
        may_have_others = cached.exists and log_group.startswith(_OF_FUNCTIONS)
        if own is None or (not own and may_have_others):
            self.missing += 1
            return LogGroupTags({}, known=False)
        return LogGroupTags(own)

    def _index(self, place: tuple[str, str], log_group: str, now: float) -> _Index:
        """Give the index of an account and Region."""
        cached = self._indexes.get(place)
        if cached is None or now >= cached.until or _may_be_newer(cached, log_group, now):
            answer = self._sources.read_index(*place)
            # If the index was deleted or cannot be read, the old copy stays in use.
            index = None if cached is None else cached.index
            if isinstance(answer, TagIndex):
                index = answer
            exists = answer is not None or index is not None
            until = now + _INDEX_TTL + self._jitter(_INDEX_TTL / 2)
            cached = self._indexes[place] = _Index(index, exists, now, until)
        return cached

    def _own(self, log_group: str, now: float) -> Mapping[str, str] | None:
        cached = self._cached.get(log_group)
        if cached is None or now >= cached.until:
            cached = self._fetch(log_group, cached, now) or cached
        return None if cached is None else cached.tags

    def _fetch(self, log_group: str, cached: _CachedTags | None, now: float) -> _CachedTags | None:
        if now < self._paused_until:
            return None
        answer = self._sources.fetch_tags(log_group)
        match answer:
            case TagsUnavailable(gone=True):
                # Lines of a deleted log group may still arrive. This is no reason to pause.
                return self._remember(log_group, None if cached is None else cached.tags, now)
            case TagsUnavailable(denied=denied):
                self.failures += 1
                self._paused_until = now + (_BREAK if denied else _BACKOFF)
                return None
            case Mapping():
                return self._remember(log_group, dict(answer), now)
            case _:
                assert_never(answer)

    def _remember(self, log_group: str, tags: Mapping[str, str] | None, now: float) -> _CachedTags:
        cached = _CachedTags(tags, now + _TTL + self._jitter(_TTL / 5))
        self._cached[log_group] = cached
        return cached


def _may_be_newer(cached: _Index, log_group: str, now: float) -> bool:
    """Tell whether to read an index again, as the copy lacks a log group.

    The subscriber writes the tags of a new log group in the run that links the log group.
    """
    if cached.index is not None and log_group in cached.index.groups:
        return False
    return cached.exists and now >= cached.read_at + _INDEX_MISS
