"""Reads from CloudWatch what log groups received, and what the shipper was invoked with.

A metric in GetMetricData costs money (`prices.METRIC_READ`), whatever the number of its points. So
each metric is read once, with one point for the whole time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any, Final

from msgspec import Struct

from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.paced_calls import PacedCalls

DAYS: Final = 14
_QUERIES: Final = 500
"""Limit of queries in one GetMetricData call."""

METRICS_OF_GROUP: Final = 2


class Volume(Struct, frozen=True):
    """What log groups received in 14 days: bytes and log events."""

    taken_bytes: float = 0.0
    events: float = 0.0


class MetricName(Struct, frozen=True):
    """A metric of CloudWatch, by its namespace, name and dimensions."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]


type ReadSums = Callable[[Sequence[MetricName]], list[float]]
"""Gives the sum of each metric over the last 14 days. Raises AwsError."""


def sums_reader(cloudwatch: Any, now: int, pace: PacedCalls) -> ReadSums:
    """Return a function that reads metrics; `now` is in ms since 1970."""

    def read(metrics: Sequence[MetricName]) -> list[float]:
        sums = [0.0] * len(metrics)
        for some in batched(enumerate(metrics), _QUERIES):
            for index, value in _read(cloudwatch, dict(some), now, pace):
                sums[index] += value
        return sums

    return read


def _read(
    cloudwatch: Any, metrics: Mapping[int, MetricName], now: int, pace: PacedCalls
) -> Iterable[tuple[int, float]]:
    end = datetime.fromtimestamp(now / 1000, UTC)
    request = {
        "MetricDataQueries": [_query(index, metric) for index, metric in metrics.items()],
        "StartTime": end - timedelta(days=DAYS),
        "EndTime": end,
    }
    token: dict[str, str] = {}
    while True:
        page = pace(
            "GetMetricData",
            lambda: call_boto(lambda: cloudwatch.get_metric_data(**request, **token)),  # noqa: B023 - called at once
        )
        for result in page["MetricDataResults"]:
            yield int(result["Id"].removeprefix("q")), sum(result["Values"])
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _query(index: int, metric: MetricName) -> dict[str, Any]:
    return {
        "Id": f"q{index}",
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in metric.dimensions.items()],
            },
            "Period": DAYS * 86_400,
            "Stat": "Sum",
        },
    }


def read_volumes(log_groups: Sequence[str], read: ReadSums) -> dict[str, Volume]:
    """Return the volume of each log group. Raises AwsError."""
    metrics = [
        MetricName("AWS/Logs", name, {"LogGroupName": group})
        for group in log_groups
        for name in ("IncomingBytes", "IncomingLogEvents")
    ]
    sums = read(metrics)
    return {
        group: Volume(taken_bytes, events)
        for group, (taken_bytes, events) in zip(
            log_groups, batched(sums, METRICS_OF_GROUP), strict=True
        )
    }


def total_volume(volumes: Iterable[Volume]) -> Volume:
    """Return the sum of volumes."""
    listed = [*volumes]
    return Volume(sum(each.taken_bytes for each in listed), sum(each.events for each in listed))


def read_events_of_invocation(
    functions: Sequence[str], stack: str | None, read: ReadSums
) -> float | None:
    """Return how many log events one invocation had in the last 14 days; None without one.

    `functions` are all functions of the stack that ship: they share a metric. Raises AwsError.
    """
    own = {"service": "loki-shipper"} | ({} if stack is None else {"stack": stack})
    lines, *invocations = read(
        [
            MetricName("LokiShipper", "LinesReceived", own),
            *(
                MetricName("AWS/Lambda", "Invocations", {"FunctionName": each})
                for each in functions
            ),
        ]
    )
    return lines / sum(invocations) if lines and sum(invocations) else None
