"""Calls stay below AWS's limits, and are retried if they may succeed later."""

from collections.abc import Callable, Iterator

import pytest

from loki_shipper.aws.errors import AwsError, ErrorKind
from loki_shipper.aws.paced_calls import PacedCalls


class SimulatedAws:
    """A clock that moves only during sleeps."""

    def __init__(self) -> None:
        self.time = 0.0
        self.left = 900.0
        self.called: list[float] = []

    def pace(self) -> PacedCalls:
        return PacedCalls(
            clock=lambda: self.time,
            sleep=self.sleep,
            remaining=lambda: self.left - self.time,
            jitter=lambda _: 0.0,
        )

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def failing(self, kind: ErrorKind, times: int) -> Callable[[], str]:
        faults: Iterator[int] = iter(range(times))

        def call() -> str:
            self.called.append(self.time)
            if next(faults, None) is not None:
                raise AwsError(kind, kind)
            return "done"

        return call


@pytest.fixture
def simulated() -> SimulatedAws:
    return SimulatedAws()


def test_spaces_calls_of_one_operation_but_not_of_two(simulated: SimulatedAws) -> None:
    pace = simulated.pace()
    call = simulated.failing("busy", 0)
    for _ in range(5):
        pace("PutSubscriptionFilter", call)
        pace("DescribeSubscriptionFilters", call)
    assert simulated.called == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0, 1.0]


def test_slows_down_when_throttled_and_recovers(simulated: SimulatedAws) -> None:
    pace = simulated.pace()
    assert pace("PutSubscriptionFilter", simulated.failing("throttled", 3)) == "done"
    assert simulated.called == [0, 0.5, 1.5, 3.5]
    simulated.called.clear()
    for _ in range(40):
        pace("PutSubscriptionFilter", simulated.failing("busy", 0))
    gaps = [
        after - before
        for before, after in zip(simulated.called, simulated.called[1:], strict=False)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 1.5
    assert gaps[-1] == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["throttled", "busy", "unreachable"])
def test_gives_up_after_eight_tries(simulated: SimulatedAws, kind: ErrorKind) -> None:
    with pytest.raises(AwsError):
        simulated.pace()("PutSubscriptionFilter", simulated.failing(kind, 100))
    assert len(simulated.called) == 8


@pytest.mark.parametrize("kind", ["gone", "full", "denied", "refused", "expired"])
def test_does_not_retry_an_error_that_will_not_change(
    simulated: SimulatedAws, kind: ErrorKind
) -> None:
    with pytest.raises(AwsError) as raised:
        simulated.pace()("PutSubscriptionFilter", simulated.failing(kind, 100))
    assert raised.value.kind == kind
    assert len(simulated.called) == 1


def test_waits_up_to_a_minute_for_a_permission(simulated: SimulatedAws) -> None:
    pace = simulated.pace()
    for _ in range(20):
        with pytest.raises(AwsError):
            pace("PutSubscriptionFilter", simulated.failing("not_permitted_yet", 100))
    assert 55 < simulated.time < 65


def test_does_not_wait_beyond_the_end(simulated: SimulatedAws) -> None:
    simulated.left = 1.0
    with pytest.raises(AwsError):
        simulated.pace()("PutSubscriptionFilter", simulated.failing("throttled", 100))
    assert simulated.time <= 1.0
