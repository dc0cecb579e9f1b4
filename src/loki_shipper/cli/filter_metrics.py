"""Reads the metrics of our filters and of the redrivers from CloudWatch."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import Any, NamedTuple

from msgspec import Struct

_PERIOD = 300
_DAY = timedelta(days=1)
# A call takes 500 queries and returns 100,800 points, 288 of each query.
_GROUPS_A_CALL = 100
_METRICS = ("ForwardedLogEvents", "DeliveryErrors", "DeliveryThrottling")


class Delivery(Struct, frozen=True):
    """The deliveries of a log group's filter in the last 24 hours.

    `last` is the end of the five minutes of the last delivery, in ms since 1970, or None.
    """

    last: int | None = None
    lines: int = 0
    errors: int = 0
    throttled: int = 0


def delivery(
    groups: Iterable[str],
    filter_name: str,
    now: int,
    *,
    get_metric_data: Callable[..., Any],
) -> dict[str, Delivery]:
    """Read the deliveries of log groups by name; `now` is in ms since 1970."""
    deliveries: dict[str, Delivery] = {}
    for some in batched(groups, _GROUPS_A_CALL):
        metrics = {group: _of_filter(group, filter_name) for group in some}
        deliveries |= _deliveries(metrics, now, get_metric_data)
    return deliveries


def policy_delivery(
    function: str, stack: str | None, now: int, *, get_metric_data: Callable[..., Any]
) -> Delivery:
    """Read the deliveries of the account policy; `now` is in ms since 1970.

    CloudWatch Logs measures filters by log group only. So this returns the lines that the shipper
    received, and the errors and throttles of its function.
    """
    own = {"service": "loki-shipper"} | ({} if stack is None else {"stack": stack})
    metrics = (
        _Metric("LokiShipper", "LinesReceived", own),
        _Metric("AWS/Lambda", "Errors", {"FunctionName": function}),
        _Metric("AWS/Lambda", "Throttles", {"FunctionName": function}),
    )
    return _deliveries({function: metrics}, now, get_metric_data)[function]


class Redrives(Struct, frozen=True):
    """The last run of the redrivers, in five minutes that ended at `last`, in ms since 1970."""

    last: int
    objects: int
    left: int


def last_redrives(
    stack: str | None, now: int, *, get_metric_data: Callable[..., Any]
) -> Redrives | None:
    """Read the redrivers' last run, or None if there was none in the day before `now`, in ms."""
    own = {"service": "loki-shipper"} | ({} if stack is None else {"stack": stack})
    names = {"shipped": "ObjectsRedriven", "left": "ObjectsLeft"}
    end = datetime.fromtimestamp(now / 1000, UTC)
    results = _results(
        get_metric_data,
        MetricDataQueries=[
            _query(query, _Metric("LokiShipper", name, own)) for query, name in names.items()
        ],
        StartTime=end - _DAY,
        EndTime=end,
    )
    measured: dict[str, dict[datetime, float]] = {query: {} for query in names}
    for each in results:
        measured[each["Id"]] |= dict(zip(each["Timestamps"], each["Values"], strict=True))
    if not measured["shipped"]:
        return None
    newest = max(measured["shipped"])
    return Redrives(
        int(newest.timestamp() + _PERIOD) * 1000,
        int(measured["shipped"][newest]),
        int(measured["left"].get(newest, 0)),
    )


class _Metric(NamedTuple):
    """A metric of CloudWatch."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]


type _Metrics = tuple[_Metric, _Metric, _Metric]
"""Lines, errors and throttles."""


def _of_filter(group: str, filter_name: str) -> _Metrics:
    of = {"LogGroupName": group, "DestinationType": "Lambda", "FilterName": filter_name}
    lines, errors, throttles = (_Metric("AWS/Logs", name, of) for name in _METRICS)
    return lines, errors, throttles


def _deliveries(
    metrics: Mapping[str, _Metrics], now: int, get_metric_data: Callable[..., Any]
) -> dict[str, Delivery]:
    """Read the metrics of all names in one call with its pages."""
    end = datetime.fromtimestamp(now / 1000, UTC)
    flat = [(name, place, each) for name, of in metrics.items() for place, each in enumerate(of)]
    queries = {f"m{number}": each for number, each in enumerate(flat)}
    results = _results(
        get_metric_data,
        MetricDataQueries=[_query(query, metric) for query, (_, _, metric) in queries.items()],
        StartTime=end - _DAY,
        EndTime=end,
    )
    measured = {queries[each["Id"]][:2]: each for each in results}
    return {
        name: _delivery(*(measured.get((name, place)) for place in range(3))) for name in metrics
    }


def _results(get_metric_data: Callable[..., Any], **request: Any) -> list[Any]:
    results: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = get_metric_data(**request, **token)
        results += [each for each in page["MetricDataResults"] if each["Values"]]
        if not page.get("NextToken"):
            return results
        token = {"NextToken": page["NextToken"]}


def _query(name: str, metric: _Metric) -> dict[str, Any]:
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": metric.namespace,
                "MetricName": metric.name,
                "Dimensions": [{"Name": k, "Value": v} for k, v in metric.dimensions.items()],
            },
            "Period": _PERIOD,
            "Stat": "Sum",
        },
    }


def _delivery(lines: Any, errors: Any, throttles: Any) -> Delivery:
    last = None
    if lines is not None and any(lines["Values"]):
        times = zip(lines["Timestamps"], lines["Values"], strict=True)
        newest = max(when for when, value in times if value)
        last = int(newest.timestamp() + _PERIOD) * 1000
    return Delivery(last, *map(_total, (lines, errors, throttles)))


def _total(measured: Any) -> int:
    return 0 if measured is None else int(sum(measured["Values"]))
