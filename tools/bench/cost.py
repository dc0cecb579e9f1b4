"""Calculates the cost of an invocation on Lambda from the figures of this machine.

Nothing is measured on Lambda. The assumptions:

- Lambda gives a whole processor at 1,769 MB and proportionally less below, so a duration is the
  processor time x 1,769 / memory, plus the time of pushes, rounded up to a millisecond.
- Loki takes 10 ms for a push: one round trip and the write.
- Prices are those of `loki_shipper.prices`.
"""

import math
from typing import Final

from msgspec import Struct

from loki_shipper.prices import GB, LAMBDA_GB_SECOND, LAMBDA_REQUEST, LOGS_GB
from tools.bench.measure import Warm
from tools.bench.payloads import LINE_BYTES

MEMORIES: Final = (128, 256, 512, 1_024, 1_769)
MEMORY: Final = 256
_WHOLE_PROCESSOR = 1_769
_PUSH_SECONDS = 0.010
_PER_LOG_BYTE = LOGS_GB.dollars / GB
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
        LAMBDA_REQUEST.dollars + gb_seconds * LAMBDA_GB_SECOND[architecture].dollars,
        (warm.log_bytes + _PLATFORM_LOG_BYTES) * _PER_LOG_BYTE,
    )


def per_gb(dollars: float, events: int) -> float:
    """Return dollars for a GB of lines, from dollars for one invocation of `events` lines."""
    return dollars * 1e9 / (events * LINE_BYTES)


def per_million(dollars: float, events: int) -> float:
    """Return dollars for a million log events."""
    return dollars * 1e6 / events
