"""Keeps calls under AWS's limits and tries again what may go better, for so long and no longer."""

from collections.abc import Callable
from typing import Literal

type ErrorKind = Literal[
    "throttled", "busy", "unreachable", "not_permitted_yet", "gone", "full", "refused", "expired"
]


ERROR_KINDS: dict[str, ErrorKind] = {
    "ThrottlingException": "throttled",
    "Throttling": "throttled",
    "TooManyRequestsException": "throttled",
    "ThrottledException": "throttled",
    "SlowDown": "throttled",
    "OperationAbortedException": "busy",
    "ServiceUnavailableException": "busy",
    "ServiceException": "busy",
    "InternalServiceException": "busy",
    "InternalFailure": "busy",
    "InternalError": "busy",
    "ResourceNotFoundException": "gone",
    "NoSuchKey": "gone",
    "LimitExceededException": "full",
    "ExpiredToken": "expired",
    "ExpiredTokenException": "expired",
    "InvalidClientTokenId": "expired",
    "UnrecognizedClientException": "expired",
}
"""What AWS's names for errors mean for us."""


class AwsError(Exception):
    """Raised when a call to AWS did not do what it was to do.

    `kind` says what it means for us, `code` is AWS's or botocore's name for it. The message says
    what to do about it, where anything is to be done.
    """

    def __init__(self, kind: ErrorKind, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.kind = kind
        self.code = code


PER_SECOND = {
    "DescribeLogGroups": 8.0,
    "GetResources": 12.0,
    "FilterLogEvents": 4.0,
    "PutSubscriptionFilter": 4.0,
    "DeleteSubscriptionFilter": 4.0,
    "DescribeSubscriptionFilters": 4.0,
    "ListTags": 4.0,
    "ListTagsForResource": 4.0,
    "ListTagsLogGroup": 4.0,
}
"""Calls a second, four fifths of AWS's limit for an account and Region; others call too."""

_FIRST_PAUSE = 0.1
"""Seconds until an object that somebody else has changed is read again, at most; it doubles."""

_SLOWEST = 8.0
_TRIES = 8
_PERMISSION_PAUSE = 5.0
_PERMISSION_PATIENCE = 60.0
"""Seconds: longest pause between two calls, between two looks for a permission, and in all."""


class PacedCalls:
    """Makes calls one after another; each operation has a rate of its own, that adapts.

    A throttled call doubles the pause between calls of its operation, each success takes a tenth of
    the surplus away. `remaining()` are the seconds that waiting must not go beyond; `jitter(x)`
    gives up to x seconds. `share` is for runs that take place at once, each of which makes such a
    share of the calls.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        remaining: Callable[[], float],
        jitter: Callable[[float], float],
        share: float = 1.0,
    ) -> None:
        self._share = share
        self._clock = clock
        self._sleep = sleep
        self._remaining = remaining
        self._jitter = jitter
        self._pauses: dict[str, float] = {}
        self._next: dict[str, float] = {}
        self._patience = _PERMISSION_PATIENCE

    def __call__[T](self, operation: str, call: Callable[[], T]) -> T:
        """Make a call when its turn has come. Raises AwsError when trying again did not help."""
        for tries_left in reversed(range(_TRIES)):
            self._wait_for_turn(operation)
            try:
                answer = call()
            except AwsError as error:
                pause = self._pause_after(error, operation, _TRIES - tries_left)
                if pause is None or not tries_left or pause > self._remaining():
                    raise
                self._sleep(pause)
            else:
                self._faster(operation)
                return answer
        raise AssertionError

    def wait(self, tries: int) -> None:
        """Wait for a random time, longer after more tries that failed."""
        self._sleep(self._jitter(min(_FIRST_PAUSE * 2.0 ** (tries - 1), _SLOWEST)))

    def _wait_for_turn(self, operation: str) -> None:
        now = self._clock()
        turn = max(now, self._next.get(operation, now))
        if turn > now:
            self._sleep(turn - now)
        self._next[operation] = turn + self._pause(operation)

    def _pause(self, operation: str) -> float:
        usual = 1 / (self._share * PER_SECOND[operation]) if operation in PER_SECOND else 0.0
        return max(usual, self._pauses.get(operation, 0.0))

    def _faster(self, operation: str) -> None:
        if operation in self._pauses:
            self._pauses[operation] *= 0.9

    def _pause_after(self, error: AwsError, operation: str, tries: int) -> float | None:
        """Give the seconds to wait before the next try; None where none would help."""
        match error.kind:
            case "throttled":
                self._pauses[operation] = min(max(self._pause(operation), 0.1) * 2, _SLOWEST)
                return self._pauses[operation] + self._jitter(0.5)
            case "busy" | "unreachable":
                return min(0.5 * 2.0**tries, _SLOWEST) / 2 + self._jitter(0.5)
            case "not_permitted_yet" if self._patience > 0:
                # All log groups wait for one permission, so they wait together.
                self._patience -= _PERMISSION_PAUSE
                return _PERMISSION_PAUSE
            case _:
                return None
