"""The payloads of one log group ship no faster than Loki takes a stream."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.clock import Clock, wait_until
from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.event import records
from loki_shipper.subscriber.first_lines.payloads import BYTES_PER_SECOND, rate_limited


class SlowShipper:
    """A shipper that takes so many seconds, and a clock that moves while it works or sleeps."""

    def __init__(self, seconds: float = 0) -> None:
        self.time = 1_000.0
        self.end = float("inf")
        self.seconds = seconds
        self.shipped: list[tuple[float, LogData]] = []
        self.clock = Clock(lambda: int(self.time * 1000), self.sleep, lambda: self.end - self.time)

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        [data] = records(event)
        self.shipped.append((self.time, data))
        self.time += self.seconds
        return {"delivered": len(data.log_events)}


def payload(size: int, character: str = "x") -> LogData:
    event = LogEvent("0", 0, character * size)
    return LogData("DATA_MESSAGE", "123456789012", "/app", "s", [event], ["loki-shipper"])


def test_ships_a_payload_and_returns_the_report() -> None:
    shipper = SlowShipper()
    assert rate_limited(shipper.invoke, shipper.clock)(payload(10)) == {"delivered": 1}
    assert shipper.shipped == [(1_000.0, payload(10))]


@given(st.lists(st.integers(0, 1_000_000), max_size=20), st.sampled_from([0, 0.3, 2]))
def test_no_span_of_time_exceeds_the_rate(sizes: list[int], seconds: float) -> None:
    shipper = SlowShipper(seconds)
    ship = rate_limited(shipper.invoke, shipper.clock)
    for size in sizes:
        ship(payload(size))
    times = [when for when, _ in shipper.shipped]
    for first in range(len(sizes)):
        for last in range(first + 1, len(sizes)):
            passed = times[last] - times[first]
            assert sum(sizes[first:last]) <= BYTES_PER_SECOND * (passed + 0.001)


def test_counts_the_structured_metadata_of_each_line() -> None:
    """Loki counts structured metadata too. A short line has more of it than text."""
    shipper = SlowShipper()
    ship = rate_limited(shipper.invoke, shipper.clock)
    events = [LogEvent("0", 0, "x")] * 5_000
    data = LogData("DATA_MESSAGE", "123456789012", "/app", "s" * 99, events, ["loki-shipper"])
    ship(data)
    ship(data)
    assert shipper.shipped[1][0] - shipper.shipped[0][0] == 1.0


def test_counts_bytes_and_not_characters() -> None:
    shipper = SlowShipper()
    ship = rate_limited(shipper.invoke, shipper.clock)
    ship(payload(500_000, "é"))
    ship(payload(1))
    assert shipper.shipped[1][0] == pytest.approx(1_001.0, abs=0.002)


def test_does_not_wait_after_a_slow_invocation() -> None:
    shipper = SlowShipper(seconds=5)
    ship = rate_limited(shipper.invoke, shipper.clock)
    for _ in range(3):
        ship(payload(1_000_000))
    assert shipper.time == 1_015.0


def test_waits_only_within_the_run() -> None:
    shipper = SlowShipper()
    shipper.end = 1_010.0
    assert wait_until(1_005_000, shipper.clock)
    assert shipper.time == 1_005.0
    assert not wait_until(1_010_000, shipper.clock)
    assert shipper.time == 1_005.0
    assert wait_until(1_000_000, shipper.clock)
    assert shipper.time == 1_005.0
