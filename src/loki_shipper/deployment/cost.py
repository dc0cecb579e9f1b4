"""Estimates the monthly cost of shipping, from what log groups received in 14 days.

The figures of an invocation are those of docs/cost.md.
"""

import math
from itertools import pairwise
from typing import Final

from msgspec import Struct

from loki_shipper import prices
from loki_shipper.deployment.volumes import DAYS, Volume

_MONTH_DAYS: Final = 30

METRICS: Final = 45
"""Number of metrics of a stack's functions."""

LOG_FILES_METRICS: Final = 6
"""Number of metrics that only the function for log files has."""

EVENTS_OF_INVOCATION: Final = 100
"""Log events of one invocation: an assumption, as CloudWatch Logs decides it."""

PROCESSOR_SECONDS: Final = {1: 0.0013, 100: 0.0017, 1_000: 0.0036, 10_000: 0.019}
"""Time of a whole processor for an invocation with so many log events of 200 bytes."""

_WHOLE_PROCESSOR_MB: Final = 1_769
_PUSH_SECONDS: Final = 0.010

OWN_LOG_BYTES: Final = 1_750
"""Bytes that one invocation of the shipper logs, with START, END and REPORT."""

PUSHED_BYTES: Final = 0.30
"""Bytes of a push of many lines, as a fraction of the bytes of the lines."""

PUSH_OVERHEAD_BYTES: Final = 900
"""Bytes of a push beside its lines: labels, headers and TLS."""


class ShipperSize(Struct, frozen=True):
    """What the cost of an invocation depends on; `events` is how many log events it has."""

    architecture: str = "arm64"
    memory_mb: int = 256
    events: float = EVENTS_OF_INVOCATION


class ShippingCost(Struct, frozen=True):
    """The monthly cost of shipping some lines, in US dollars: to a Loki on the internet."""

    functions: float
    own_log: float
    transfer: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.functions + self.own_log + self.transfer


class Cost(Struct, frozen=True):
    """The monthly cost of a stack in US dollars."""

    shipping: ShippingCost
    metrics: float
    dashboard: float
    secret: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.shipping.total + self.metrics + self.dashboard + self.secret


def shipping_cost(volume: Volume, size: ShipperSize) -> ShippingCost:
    """Estimate the monthly cost of shipping as many lines a day as in these 14 days."""
    invocations = volume.events / size.events * _MONTH_DAYS / DAYS
    gb_seconds = billed_seconds(size) * size.memory_mb / 1024
    compute = gb_seconds * prices.LAMBDA_GB_SECOND[size.architecture].dollars
    transferred = monthly_gb(volume) * PUSHED_BYTES + invocations * PUSH_OVERHEAD_BYTES / prices.GB
    return ShippingCost(
        functions=invocations * (prices.LAMBDA_REQUEST.dollars + compute),
        own_log=invocations * OWN_LOG_BYTES / prices.GB * prices.LOGS_GB.dollars,
        transfer=transferred * prices.TRANSFER_GB.dollars,
    )


def billed_seconds(size: ShipperSize) -> float:
    """Estimate the billed duration of an invocation, in seconds.

    Lambda gives a share of a processor that grows with the memory.
    """
    busy = _processor_seconds(size.events) * _WHOLE_PROCESSOR_MB / size.memory_mb
    return math.ceil((busy + _PUSH_SECONDS) * 1000) / 1000


def _processor_seconds(events: float) -> float:
    """Interpolate between the measured numbers of log events, and extrapolate beyond the last."""
    for (low, least), (high, most) in pairwise(PROCESSOR_SECONDS.items()):
        # The last two measured numbers also give the slope for more log events.
        if events <= high or high == max(PROCESSOR_SECONDS):
            return least + (most - least) * (max(events, 1) - low) / (high - low)
    raise AssertionError


def monthly_cost(volume: Volume, size: ShipperSize, *, metrics: int, secrets: int) -> Cost:
    """Estimate the monthly cost of a stack.

    Alarms, NAT gateways and Loki are not included.
    """
    return Cost(
        shipping=shipping_cost(volume, size),
        metrics=metrics * prices.METRIC.dollars,
        dashboard=prices.DASHBOARD.dollars,
        secret=secrets * prices.SECRET.dollars,
    )


def monthly_gb(volume: Volume) -> float:
    """Return the gigabytes of a month."""
    return volume.taken_bytes / prices.GB * _MONTH_DAYS / DAYS
