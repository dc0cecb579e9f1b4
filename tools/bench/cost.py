"""What an invocation costs on Lambda: calculated from what was measured here.

Nothing is measured on Lambda. The assumptions:

- Lambda gives a whole processor at 1,769 MB and proportionally less below, so a duration is the
  processor time x 1,769 / memory, plus the waiting for Loki, rounded up to a millisecond.
- Loki takes 10 ms for a push: one round trip and the write.
- Prices are the list prices of us-east-1, first tier, without the free tier, as of 2026-11-21.
"""

import math
from typing import Final

from msgspec import Struct

from tools.bench.measure import Warm
from tools.bench.payloads import LINE_BYTES

MEMORIES: Final = (128, 256, 512, 1_024, 1_769)
MEMORY: Final = 256
_WHOLE_PROCESSOR = 1_769
_PUSH_SECONDS = 0.010
_PER_REQUEST = 0.20 / 1e6
_PER_GB_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
_PER_LOG_BYTE = 0.50 / 1e9
_PLATFORM_LOG_BYTES = 300
"""Bytes that Lambda writes for each invocation: START, END and REPORT."""


class Price(Struct, frozen=True):
    """Dollars of one invocation: for Lambda, and for what it logs."""

    function: float
    log: float


def seconds(warm: Warm, memory: int) -> float:
    """Give the billed duration of an invocation with so many MB of memory."""
    busy = warm.cpu * _WHOLE_PROCESSOR / memory
    return math.ceil((busy + warm.pushes * _PUSH_SECONDS) * 1000) / 1000


def price(warm: Warm, memory: int = MEMORY, architecture: str = "arm64") -> Price:
    """Give the price of one invocation."""
    gb_seconds = seconds(warm, memory) * memory / 1024
    return Price(
        _PER_REQUEST + gb_seconds * _PER_GB_SECOND[architecture],
        (warm.log_bytes + _PLATFORM_LOG_BYTES) * _PER_LOG_BYTE,
    )


def per_gb(dollars: float, events: int) -> float:
    """Give dollars for a GB of lines, from dollars for one invocation with so many lines."""
    return dollars * 1e9 / (events * LINE_BYTES)


def per_million(dollars: float, events: int) -> float:
    """Give dollars for a million log events."""
    return dollars * 1e6 / events
