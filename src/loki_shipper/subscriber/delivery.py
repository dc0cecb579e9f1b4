"""What CloudWatch measured of our filters."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import batched, product
from typing import Any

from msgspec import Struct

_PERIOD = 300
_DAY = timedelta(days=1)
# A call takes 500 queries and gives 100,800 points: 288 of each query.
_GROUPS_A_CALL = 100
_METRICS = ("ForwardedLogEvents", "DeliveryErrors", "DeliveryThrottling")


class Delivery(Struct, frozen=True):
    """The last 24 hours of a log group's filter.

    `last` is the end of the five minutes in which lines were delivered last, in ms since 1970;
    None: none were.
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
    """Ask for log groups' deliveries; `now` is in ms since 1970."""
    found: dict[str, Delivery] = {}
    end = datetime.fromtimestamp(now / 1000, UTC)
    for some in batched(groups, _GROUPS_A_CALL, strict=False):
        queries = {f"m{number}": each for number, each in enumerate(product(some, _METRICS))}
        results = _results(
            get_metric_data,
            MetricDataQueries=[_query(name, *each, filter_name) for name, each in queries.items()],
            StartTime=end - _DAY,
            EndTime=end,
        )
        measured = {queries[each["Id"]]: each for each in results}
        found |= {group: _delivery(group, measured) for group in some}
    return found


def _results(get_metric_data: Callable[..., Any], **asked: Any) -> list[Any]:
    results: list[Any] = []
    token: dict[str, str] = {}
    while True:
        page = get_metric_data(**asked, **token)
        results += [each for each in page["MetricDataResults"] if each["Values"]]
        if not page.get("NextToken"):
            return results
        token = {"NextToken": page["NextToken"]}


def _query(name: str, group: str, metric: str, filter_name: str) -> dict[str, Any]:
    dimensions = {"LogGroupName": group, "DestinationType": "Lambda", "FilterName": filter_name}
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/Logs",
                "MetricName": metric,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": _PERIOD,
            "Stat": "Sum",
        },
    }


def _delivery(group: str, measured: dict[tuple[str, str], Any]) -> Delivery:
    lines, errors, throttled = (
        int(sum(measured[group, metric]["Values"])) if (group, metric) in measured else 0
        for metric in _METRICS
    )
    last = None
    if lines:
        forwarded = measured[group, _METRICS[0]]
        times = zip(forwarded["Timestamps"], forwarded["Values"], strict=True)
        newest = max(when for when, value in times if value)
        last = int(newest.timestamp() + _PERIOD) * 1000
    return Delivery(last, lines, errors, throttled)
