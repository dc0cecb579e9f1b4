"""Calls AWS below its rate limits, and retries calls that may succeed later, up to a deadline."""

from collections.abc import Callable

from loki_shipper.aws.errors import AwsError

PER_SECOND = {
    "DescribeLogGroups": 8.0,
    "GetResources": 12.0,
    "GetMetricData": 40.0,
    "StartQuery": 4.0,
    "GetQueryResults": 4.0,
    "FilterLogEvents": 4.0,
    "PutRetentionPolicy": 4.0,
    "DeleteRetentionPolicy": 4.0,
    "PutSubscriptionFilter": 4.0,
    "DeleteSubscriptionFilter": 4.0,
    "DescribeSubscriptionFilters": 4.0,
    "ListTags": 4.0,
    "ListTagsForResource": 4.0,
    "ListTagsLogGroup": 4.0,
}
"""Calls per second: four fifths of AWS's limit for an account and Region, which others share."""

_MAX_ATTEMPTS = 8
_MAX_PAUSE = 8.0
_CONFLICT_PAUSE = 0.1
_PERMISSION_PAUSE = 5.0
_PERMISSION_TIME = 60.0
"""Seconds: the longest pause between two calls, the first pause after a write that conflicts, the
pause while a permission is not effective yet, and the sum of these pauses."""


class PacedCalls:
    """Makes one call after another, at a rate for each operation.

    A throttled call doubles the pause between calls of its operation, and each success shortens
    the longer pause by a tenth. `remaining()` gives the seconds that are left for pauses, and
    `jitter(x)` a random time of up to x seconds. Runs that call AWS at the same time divide the
    rate; `share` is the part of this run.
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
        self._permission_time = _PERMISSION_TIME

    def __call__[T](self, operation: str, call: Callable[[], T]) -> T:
        """Call an operation when its rate allows, and retry it. Raises AwsError."""
        for attempts_left in reversed(range(_MAX_ATTEMPTS)):
            self._wait_for_turn(operation)
            try:
                answer = call()
            except AwsError as error:
                pause = self._pause_after(error, operation, _MAX_ATTEMPTS - attempts_left)
                if pause is None or not attempts_left or pause > self._remaining():
                    raise
                self._sleep(pause)
            else:
                self._shorten_pause(operation)
                return answer
        raise AssertionError

    def wait(self, attempts: int) -> None:
        """Wait a random time before the next write, after this many writes that conflicted."""
        self._sleep(self._jitter(min(_CONFLICT_PAUSE * 2.0 ** (attempts - 1), _MAX_PAUSE)))

    def _wait_for_turn(self, operation: str) -> None:
        now = self._clock()
        turn = max(now, self._next.get(operation, now))
        if turn > now:
            self._sleep(turn - now)
        self._next[operation] = turn + self._pause(operation)

    def _pause(self, operation: str) -> float:
        shortest = 1 / (self._share * PER_SECOND[operation]) if operation in PER_SECOND else 0.0
        return max(shortest, self._pauses.get(operation, 0.0))

    def _shorten_pause(self, operation: str) -> None:
        if operation in self._pauses:
            self._pauses[operation] *= 0.9

    def _pause_after(self, error: AwsError, operation: str, attempts: int) -> float | None:
        """Give the seconds to wait before a retry; None if a retry cannot succeed."""
        match error.kind:
            case "throttled":
                self._pauses[operation] = min(max(self._pause(operation), 0.1) * 2, _MAX_PAUSE)
                return self._pauses[operation] + self._jitter(0.5)
            case "busy" | "unreachable":
                return min(0.5 * 2.0**attempts, _MAX_PAUSE) / 2 + self._jitter(0.5)
            case "not_permitted_yet" if self._permission_time > 0:
                # One permission is for all log groups, so their pauses count together.
                self._permission_time -= _PERMISSION_PAUSE
                return _PERMISSION_PAUSE
            case _:
                return None
