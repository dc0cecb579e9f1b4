"""CloudWatch's metrics are read in few calls, whatever the number of log groups."""

from datetime import UTC, datetime
from typing import Any

from loki_shipper.audit.cloudwatch import metrics_of, read_cloudwatch, read_log_bytes, read_refused
from loki_shipper.audit.model import CloudWatchCounts, Window

WINDOW = Window(1000, 1024, 1031)


class Metrics:
    """Answers GetMetricData with one page for each query, and keeps the requests."""

    def __init__(self, **values: dict[int, float]) -> None:
        self.values = values
        self.requests: list[dict[str, Any]] = []

    def __call__(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        wanted = request["MetricDataQueries"]
        page = int(request.get("NextToken", 0))
        query = wanted[page]
        hours = self.values.get(query["MetricStat"]["Metric"]["MetricName"], {})
        result = {
            "Id": query["Id"],
            "Timestamps": [datetime.fromtimestamp(hour * 3600, UTC) for hour in hours],
            "Values": [*hours.values()],
        }
        more = {"NextToken": str(page + 1)} if page + 1 < len(wanted) else {}
        return {"MetricDataResults": [result], **more}


def test_incoming_and_forwarded_log_events_are_read_by_hour() -> None:
    metrics = Metrics(IncomingLogEvents={1001: 5.0}, ForwardedLogEvents={1001: 4.0, 1002: 1.0})
    found = read_cloudwatch(["/a"], WINDOW, "ours", metrics)
    assert found == {"/a": CloudWatchCounts({1001: 5}, {1001: 4, 1002: 1})}
    [_, forwarded] = metrics.requests[0]["MetricDataQueries"]
    assert forwarded["MetricStat"]["Metric"]["Dimensions"] == [
        {"Name": "LogGroupName", "Value": "/a"},
        {"Name": "DestinationType", "Value": "Lambda"},
        {"Name": "FilterName", "Value": "ours"},
    ]
    assert forwarded["MetricStat"]["Period"] == 3600


def test_a_day_before_the_window_is_read_too_and_everything_since() -> None:
    metrics = Metrics()
    read_cloudwatch(["/a"], WINDOW, "ours", metrics)
    times = (metrics.requests[0]["StartTime"], metrics.requests[0]["EndTime"])
    assert [when.timestamp() / 3600 for when in times] == [976, 1032]


def test_an_account_policy_has_no_metrics_of_filters() -> None:
    found = read_cloudwatch(["/a"], WINDOW, None, Metrics(IncomingLogEvents={1001: 5.0}))
    assert found == {"/a": CloudWatchCounts({1001: 5}, None)}
    assert (metrics_of(10, by_policy=True), metrics_of(10, by_policy=False)) == (10, 20)


def test_refused_deliveries_are_errors_and_throttles() -> None:
    metrics = Metrics(DeliveryErrors={1001: 5.0}, DeliveryThrottling={1002: 2.0})
    assert read_refused(["/a"], WINDOW, "ours", metrics) == {"/a": 7}


def test_the_bytes_of_the_own_log_are_read() -> None:
    assert read_log_bytes(["/a", "/b"], WINDOW, Metrics(IncomingBytes={1001: 5.0})) == 10


def test_13_000_log_groups_take_52_calls() -> None:
    calls = []

    def get_metric_data(**request: Any) -> dict[str, Any]:
        calls.append(len(request["MetricDataQueries"]))
        return {"MetricDataResults": []}

    read_cloudwatch([f"/{n}" for n in range(13_000)], WINDOW, "ours", get_metric_data)
    assert (len(calls), max(calls)) == (52, 500)
