"""Loads the rules that RULES names, and reloads them every five minutes.

Rules redact secrets, so they fail closed. Nothing is shipped while no file was ever read, or while
the file has a fault: the invocation fails, and Lambda keeps its event. If the file cannot be read
again, the last good rules stay in use.
"""

from collections.abc import Callable
from typing import assert_never

from msgspec import Struct

from loki_shipper.formats import NO_RULES
from loki_shipper.shipper.rules.model import Rules, RulesError
from loki_shipper.shipper.rules.parse import default_rules, parse_rules

_TTL = 300.0
_BACKOFF = 30.0
"""Seconds until a file is read again: after a success, and after a failure."""


class RulesText(Struct, frozen=True):
    """A file's text; `etag` is None if the file never changes in this execution environment."""

    text: str
    etag: str | None


class FileUnchanged(Struct, frozen=True):
    """The file still has the etag."""


class FileUnreadable(Struct, frozen=True):
    """The file could not be read, for a reason such as NoSuchKey."""

    reason: str


type ReadRules = Callable[[str, str | None], RulesText | FileUnchanged | FileUnreadable]
"""Reads a rules file by path or `s3://bucket/key`, unless it still has this etag."""


class RulesCache:
    """Gives the rules; it lives as long as the execution environment.

    `reference` is the setting RULES. `jitter(x)` gives up to x seconds. `failures` counts the reads
    that failed.
    """

    def __init__(
        self,
        reference: str | None,
        read: ReadRules,
        *,
        clock: Callable[[], float],
        jitter: Callable[[float], float],
    ) -> None:
        self._reference = reference
        self._read = read
        self._clock = clock
        self._jitter = jitter
        self._cached: Rules | RulesError | None = None
        self._etag: str | None = None
        self._expires = float("-inf")
        self.failures = 0

    def __call__(self) -> Rules:
        """Return the current rules. Raises RulesError."""
        match self._reference:
            case None:
                return default_rules()
            case text if text == NO_RULES:
                return Rules()
            case reference:
                if self._clock() >= self._expires:
                    self._reload(reference)
        match self._cached:
            case Rules():
                return self._cached
            case RulesError():
                # A new error each time: the traceback of one would grow with each invocation.
                raise RulesError(self._cached.faults)
            case None:
                raise RulesError(["they were not read"])

    def _reload(self, reference: str) -> None:
        answer = self._read(reference, self._etag)
        match answer:
            case RulesText(text=text, etag=etag):
                self._cached = _rules_or_error(text)
                self._etag = etag
                self._keep(self._ttl() if etag else float("inf"))
            case FileUnchanged():
                self._keep(self._ttl())
            case FileUnreadable(reason=reason):
                self.failures += 1
                if isinstance(self._cached, Rules):
                    self._keep(_BACKOFF)
                else:
                    self._cached = RulesError([f"{reference} cannot be read: {reason}"])
            case _:
                assert_never(answer)

    def _ttl(self) -> float:
        # Nothing is shipped until somebody corrects the file, so read it again soon.
        return _TTL if isinstance(self._cached, Rules) else _BACKOFF

    def _keep(self, seconds: float) -> None:
        self._expires = self._clock() + seconds + self._jitter(min(seconds, _TTL) / 5)


def _rules_or_error(text: str) -> Rules | RulesError:
    try:
        return parse_rules(text)
    except RulesError as error:
        return error
