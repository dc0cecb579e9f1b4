"""Calculates the cost of an invocation on Lambda from the figures of this machine.

Nothing is measured on Lambda. The assumptions:

- Lambda gives a whole processor at 1,769 MB and proportionally less below, so a duration is the
  processor time x 1,769 / memory, plus the time of pushes, rounded up to a millisecond.
- Loki takes 10 ms for a push: one round trip and the write.
- Prices are the list prices of us-east-1, first tier, without the free tier, as of 2026-11-21.
"""

import math
from typing import Final

from msgspec import Struct

from loki_shipper.deployment.cost import GB_SECOND, REQUEST
from tools.bench.measure import Warm
from tools.bench.payloads import LINE_BYTES

MEMORIES: Final = (128, 256, 512, 1_024, 1_769)
MEMORY: Final = 256
_WHOLE_PROCESSOR = 1_769
_PUSH_SECONDS = 0.010
_PER_LOG_BYTE = 0.50 / 1e9
_PLATFORM_LOG_BYTES = 300
"""Bytes of START, END and REPORT, which Lambda writes for each invocation."""


class Price(Struct, frozen=True):
    """Dollars of one invocation: for Lambda, and for its log."""

    function: float
    log: float


def seconds(warm: Warm, memory: int) -> float:
    """Return the billed duration of an invocation; `memory` is in MB."""
    busy = warm.cpu * _WHOLE_PROCESSOR / memory
    return math.ceil((busy + warm.pushes * _PUSH_SECONDS) * 1000) / 1000


def price(warm: Warm, memory: int = MEMORY, architecture: str = "arm64") -> Price:
    """Return the price of one invocation."""
    gb_seconds = seconds(warm, memory) * memory / 1024
    return Price(
        REQUEST + gb_seconds * GB_SECOND[architecture],
        (warm.log_bytes + _PLATFORM_LOG_BYTES) * _PER_LOG_BYTE,
    )


def per_gb(dollars: float, events: int) -> float:
    """Return dollars for a GB of lines, from dollars for one invocation of `events` lines."""
    return dollars * 1e9 / (events * LINE_BYTES)


def per_million(dollars: float, events: int) -> float:
    """Return dollars for a million log events."""
    return dollars * 1e6 / events
