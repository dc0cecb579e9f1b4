"""Reads the counts of CloudWatch Logs from its metrics.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import batched
from typing import Any, Final

from loki_shipper.audit.model import FORWARD_HOURS, CloudWatchCounts, Window

HOUR_SECONDS: Final = 3600
_QUERIES: Final = 500
"""Limit of metrics in one GetMetricData call."""

_OF_GROUP: Final = ("IncomingLogEvents",)
_OF_FILTER: Final = ("ForwardedLogEvents",)
_REFUSED: Final = ("DeliveryErrors", "DeliveryThrottling")

type GetMetricData = Callable[..., Any]
"""Calls GetMetricData. Raises AwsError."""

type _MetricOfGroup = tuple[str, str]
"""A metric's name, and its log group."""


def metrics_of(log_groups: int, *, by_policy: bool) -> int:
    """Give the number of metrics that `read_cloudwatch` asks for."""
    return log_groups * (1 if by_policy else 2)


def read_cloudwatch(
    log_groups: Iterable[str],
    window: Window,
    filter_name: str | None,
    get_metric_data: GetMetricData,
) -> dict[str, CloudWatchCounts]:
    """Read the log events of log groups by hour, and a day more, for filters that are young.

    `filter_name` is None for an account policy, for which AWS has no metrics by log group. Raises
    AwsError.
    """
    names = [*log_groups]
    wanted = [(metric, name) for name in names for metric in _OF_GROUP]
    if filter_name is not None:
        wanted += [(metric, name) for name in names for metric in _OF_FILTER]
    first = window.start - FORWARD_HOURS
    found = _read(wanted, first, window.now + 1, filter_name, get_metric_data)
    return {
        name: CloudWatchCounts(
            found.get(("IncomingLogEvents", name), {}),
            None if filter_name is None else found.get(("ForwardedLogEvents", name), {}),
        )
        for name in names
    }


def read_refused(
    log_groups: Iterable[str], window: Window, filter_name: str, get_metric_data: GetMetricData
) -> dict[str, int]:
    """Read how many log events the destination refused or throttled. Raises AwsError."""
    wanted = [(metric, name) for name in log_groups for metric in _REFUSED]
    refused: defaultdict[str, int] = defaultdict(int)
    counts = _read(wanted, window.start, window.end, filter_name, get_metric_data)
    for (_, name), hours in counts.items():
        refused[name] += sum(hours.values())
    return dict(refused)


def read_log_bytes(
    log_groups: Sequence[str], window: Window, get_metric_data: GetMetricData
) -> int:
    """Read how many bytes of log events log groups got since the window began. Raises AwsError."""
    wanted = [("IncomingBytes", name) for name in log_groups]
    counts = _read(wanted, window.start, window.now + 1, None, get_metric_data)
    return sum(sum(hours.values()) for hours in counts.values())


def _read(
    wanted: Iterable[_MetricOfGroup],
    first: int,
    end: int,
    filter_name: str | None,
    get_metric_data: GetMetricData,
) -> dict[_MetricOfGroup, dict[int, int]]:
    """Read metrics by hour, from the hour `first` to before `end`."""
    found: dict[_MetricOfGroup, dict[int, int]] = {}
    for some in batched(wanted, _QUERIES):
        request = {
            "MetricDataQueries": [
                _query(number, metric, filter_name) for number, metric in enumerate(some)
            ],
            "StartTime": _time(first),
            "EndTime": _time(end),
        }
        for result in _results(request, get_metric_data):
            hours = found.setdefault(some[int(result["Id"].removeprefix("m"))], {})
            for when, value in zip(result["Timestamps"], result["Values"], strict=True):
                hours[int(when.timestamp()) // HOUR_SECONDS] = int(value)
    return found


def _results(request: Mapping[str, Any], get_metric_data: GetMetricData) -> Iterator[Any]:
    token: dict[str, str] = {}
    while True:
        page = get_metric_data(**request, **token)
        yield from page["MetricDataResults"]
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _query(number: int, metric: _MetricOfGroup, filter_name: str | None) -> dict[str, Any]:
    name, log_group = metric
    dimensions = {"LogGroupName": log_group}
    if name in (*_OF_FILTER, *_REFUSED):
        assert filter_name is not None
        dimensions |= {"DestinationType": "Lambda", "FilterName": filter_name}
    return {
        "Id": f"m{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/Logs",
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": HOUR_SECONDS,
            "Stat": "Sum",
        },
    }


def _time(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR_SECONDS, UTC)
