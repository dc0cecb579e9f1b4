"""Estimates the monthly cost of shipping from the last 14 days of the log groups.

The time of an invocation is that of docs/cost.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final

from msgspec import Struct

from loki_shipper import prices

DAYS: Final = 14
_MONTH_DAYS: Final = 30
_QUERIES: Final = 500
"""Limit of queries in one GetMetricData call."""

METRICS: Final = 43
"""Number of metrics of a stack's functions."""

EVENTS_OF_INVOCATION: Final = 100
"""Log events of one invocation: an assumption, as CloudWatch Logs decides it."""

_SECONDS_OF_INVOCATION: Final = 0.031
"""For 100 log events of 200 bytes with 256 MB."""

OWN_LOG_BYTES: Final = 1_400
"""Bytes that one invocation of the shipper logs, with START, END and REPORT."""

PUSHED_BYTES: Final = 0.30
"""Bytes of a push of 100 lines, as a fraction of the bytes of the lines."""


class Volume(Struct, frozen=True):
    """What log groups received in 14 days: bytes and log events."""

    taken_bytes: float
    events: float


class Cost(Struct, frozen=True):
    """A monthly cost in US dollars."""

    functions: float
    own_log: float
    transfer: float
    metrics: float
    dashboard: float
    secret: float

    @property
    def total(self) -> float:
        """The sum."""
        shipping = self.functions + self.own_log + self.transfer
        return shipping + self.metrics + self.dashboard + self.secret


def read_volume(cloudwatch: Any, log_groups: Iterable[str], now: datetime) -> Volume:
    """Ask CloudWatch for the volume of log groups in the last 14 days."""
    start = now - timedelta(days=DAYS)
    sums = {"IncomingBytes": 0.0, "IncomingLogEvents": 0.0}
    queries = [(metric, group) for group in log_groups for metric in sums]
    for some in batched(queries, _QUERIES):
        for index, value in _sums(cloudwatch, some, start, now):
            sums[some[index][0]] += value
    return Volume(sums["IncomingBytes"], sums["IncomingLogEvents"])


def _sums(
    cloudwatch: Any, queries: Sequence[tuple[str, str]], start: datetime, end: datetime
) -> Iterator[tuple[int, float]]:
    """Return the sum of each metric of a log group, with the index of its query."""
    wanted = [
        {
            "Id": f"q{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Logs",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "LogGroupName", "Value": group}],
                },
                "Period": DAYS * 86_400,
                "Stat": "Sum",
            },
        }
        for number, (metric, group) in enumerate(queries)
    ]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=wanted, StartTime=start, EndTime=end
    )
    for page in pages:
        for result in page["MetricDataResults"]:
            yield int(result["Id"].removeprefix("q")), sum(result["Values"])


def monthly_cost(
    volume: Volume, *, architecture: str, memory_mb: int, metrics: int, secrets: int
) -> Cost:
    """Estimate the monthly cost of shipping as many lines a day as in these 14 days.

    Alarms, NAT gateways and Loki are not included. Data transfer is to a Loki on the internet.
    """
    invocations = volume.events / EVENTS_OF_INVOCATION * _MONTH_DAYS / DAYS
    # With less memory, Lambda gives less processor time: the product hardly changes.
    seconds = _SECONDS_OF_INVOCATION * 256 / memory_mb
    compute = seconds * memory_mb / 1024 * prices.LAMBDA_GB_SECOND[architecture].dollars
    return Cost(
        functions=invocations * (prices.LAMBDA_REQUEST.dollars + compute),
        own_log=invocations * OWN_LOG_BYTES / prices.GB * prices.LOGS_GB.dollars,
        transfer=monthly_gb(volume) * PUSHED_BYTES * prices.TRANSFER_GB.dollars,
        metrics=metrics * prices.METRIC.dollars,
        dashboard=prices.DASHBOARD.dollars,
        secret=secrets * prices.SECRET.dollars,
    )


def monthly_gb(volume: Volume) -> float:
    """Return the gigabytes of a month."""
    return volume.taken_bytes / prices.GB * _MONTH_DAYS / DAYS
