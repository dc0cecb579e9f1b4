"""About what a month of shipping costs, by what log groups took in during the last 14 days.

List prices of us-east-1, and the time of an invocation, are those of docs/cost.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final

from msgspec import Struct

DAYS: Final = 14
_MONTH_DAYS: Final = 30
_GB: Final = 1_000_000_000
_QUERIES: Final = 500
"""Most queries of one GetMetricData call."""

METRICS: Final = 43
"""Metrics that the functions of a stack measure."""

EVENTS_OF_INVOCATION: Final = 100
"""How many log events one invocation gets: an assumption, as CloudWatch Logs decides it."""

_REQUEST: Final = 0.20 / 1e6
_GB_SECOND: Final = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
_SECONDS_OF_INVOCATION: Final = 0.031
"""For 100 log events of 200 bytes with 256 MB."""

_OWN_LOG: Final = 0.75 / 1e6
"""What an invocation writes to the shipper's own log costs."""

_METRIC: Final = 0.30
_DASHBOARD: Final = 3.00
_SECRET: Final = 0.40

_TRANSFER_GB: Final = 0.09
_COMPRESSED: Final = 0.30
"""What part of the lines' bytes leaves AWS in pushes of 100 lines, after compression."""


class Volume(Struct, frozen=True):
    """What log groups took in during some days: bytes, and log events."""

    taken_bytes: float
    events: float


class Cost(Struct, frozen=True):
    """US dollars a month."""

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
    """Ask CloudWatch what these log groups took in during the last 14 days."""
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
    """Give the sum of each metric of a log group, by its place among the queries."""
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
    """Work out a month's cost of shipping as much every day as in these days.

    Alarms, NAT gateways and Loki are not in it. Data transfer is that to a Loki on the internet.
    """
    invocations = volume.events / EVENTS_OF_INVOCATION * _MONTH_DAYS / DAYS
    # Less memory is less of a processor: the product of both hardly changes.
    seconds = _SECONDS_OF_INVOCATION * 256 / memory_mb
    compute = seconds * memory_mb / 1024 * _GB_SECOND[architecture]
    return Cost(
        functions=invocations * (_REQUEST + compute),
        own_log=invocations * _OWN_LOG,
        transfer=monthly_gb(volume) * _COMPRESSED * _TRANSFER_GB,
        metrics=metrics * _METRIC,
        dashboard=_DASHBOARD,
        secret=secrets * _SECRET,
    )


def monthly_gb(volume: Volume) -> float:
    """Give the gigabytes of a month."""
    return volume.taken_bytes / _GB * _MONTH_DAYS / DAYS
