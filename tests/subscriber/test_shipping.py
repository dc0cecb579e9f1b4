"""Payloads of one log group go no faster than Loki takes a stream."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.clock import Clock, wait_until
from loki_shipper.model import LogData, LogEvent
from loki_shipper.shipper.sources.event import records
from loki_shipper.subscriber.first_lines.payloads import BYTES_PER_SECOND, rate_limited


class World:
    """A clock that moves while somebody sleeps, and a shipper that takes its time."""

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


def test_ships_what_it_is_given_and_gives_the_report() -> None:
    world = World()
    assert rate_limited(world.invoke, world.clock)(payload(10)) == {"delivered": 1}
    assert world.shipped == [(1_000.0, payload(10))]


@given(st.lists(st.integers(0, 1_000_000), max_size=20), st.sampled_from([0, 0.3, 2]))
def test_no_stretch_of_time_has_more_than_the_rate(sizes: list[int], seconds: float) -> None:
    world = World(seconds)
    ship = rate_limited(world.invoke, world.clock)
    for size in sizes:
        ship(payload(size))
    times = [when for when, _ in world.shipped]
    for first in range(len(sizes)):
        for last in range(first + 1, len(sizes)):
            passed = times[last] - times[first]
            assert sum(sizes[first:last]) <= BYTES_PER_SECOND * (passed + 0.001)


def test_counts_for_each_line_what_the_shipper_puts_beside_it() -> None:
    """Loki counts structured metadata, too, of which short lines have more than text."""
    world = World()
    ship = rate_limited(world.invoke, world.clock)
    events = [LogEvent("0", 0, "x")] * 5_000
    data = LogData("DATA_MESSAGE", "123456789012", "/app", "s" * 99, events, ["loki-shipper"])
    ship(data)
    ship(data)
    assert world.shipped[1][0] - world.shipped[0][0] == 1.0


def test_counts_bytes_and_not_characters() -> None:
    world = World()
    ship = rate_limited(world.invoke, world.clock)
    ship(payload(500_000, "é"))
    ship(payload(1))
    assert world.shipped[1][0] == pytest.approx(1_001.0, abs=0.002)


def test_does_not_wait_for_what_took_long_enough_anyway() -> None:
    world = World(seconds=5)
    ship = rate_limited(world.invoke, world.clock)
    for _ in range(3):
        ship(payload(1_000_000))
    assert world.time == 1_015.0


def test_waits_only_within_the_run() -> None:
    world = World()
    world.end = 1_010.0
    assert wait_until(1_005_000, world.clock)
    assert world.time == 1_005.0
    assert not wait_until(1_010_000, world.clock)
    assert world.time == 1_005.0
    assert wait_until(1_000_000, world.clock)
    assert world.time == 1_005.0
