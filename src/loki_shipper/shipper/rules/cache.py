"""From the setting RULES to rules: read when they are due, the last good ones while they cannot be.

Rules hold redaction, so they fail closed. Without a file that could be read once, and with a file
that is read and found faulty, nothing is shipped: the invocation fails, and Lambda keeps its event.
Only a file that cannot be reached is no reason to stop, for as long as one is in memory.
"""

from collections.abc import Callable
from typing import assert_never

from msgspec import Struct

from loki_shipper.settings import NO_RULES
from loki_shipper.shipper.rules.parse import Rules, RulesError, default_rules, parse_rules

_TTL = 300.0
_BACKOFF = 30.0
"""Seconds after which a file is read again, and after a failure."""


class RulesText(Struct, frozen=True):
    """A file as it is now; `etag` is None where it will not change while the sandbox lives."""

    text: str
    etag: str | None


class FileUnchanged(Struct, frozen=True):
    """The file is as it was."""


class FileUnreadable(Struct, frozen=True):
    """The file could not be read, for a reason such as NoSuchKey."""

    reason: str


type ReadRules = Callable[[str, str | None], RulesText | FileUnchanged | FileUnreadable]
"""Reads a rules file by path or `s3://bucket/key`, unless it still has this etag."""


class RulesCache:
    """Remembers rules for as long as the sandbox lives.

    `jitter(x)` gives up to x seconds. `failures` counts readings that failed while older rules
    served.
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
        self._known: Rules | RulesError | None = None
        self._etag: str | None = None
        self._until = float("-inf")
        self.failures = 0

    def __call__(self) -> Rules:
        """Give the rules as they are now. Raises RulesError."""
        match self._reference:
            case None:
                return default_rules()
            case text if text == NO_RULES:
                return Rules()
            case reference:
                if self._clock() >= self._until:
                    self._renew(reference)
        match self._known:
            case Rules():
                return self._known
            case RulesError():
                # Made anew, so that no traceback grows from one invocation to the next.
                raise RulesError(self._known.faults)
            case None:
                raise RulesError(["they were not read"])

    def _renew(self, reference: str) -> None:
        answer = self._read(reference, self._etag)
        match answer:
            case RulesText(text=text, etag=etag):
                self._known = _rules_or_fault(text)
                self._etag = etag
                self._wait(self._ttl() if etag else float("inf"))
            case FileUnchanged():
                self._wait(self._ttl())
            case FileUnreadable(reason=reason):
                self.failures += 1
                if isinstance(self._known, Rules):
                    self._wait(_BACKOFF)
                else:
                    self._known = RulesError([f"{reference} cannot be read: {reason}"])
            case _:
                assert_never(answer)

    def _ttl(self) -> float:
        # While nothing is shipped, a mended file is waited for.
        return _TTL if isinstance(self._known, Rules) else _BACKOFF

    def _wait(self, seconds: float) -> None:
        self._until = self._clock() + seconds + self._jitter(min(seconds, _TTL) / 5)


def _rules_or_fault(text: str) -> Rules | RulesError:
    try:
        return parse_rules(text)
    except RulesError as error:
        return error
