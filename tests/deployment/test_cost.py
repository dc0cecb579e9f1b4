"""What a month costs, by what log groups took in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from loki_shipper.deployment.cost import Volume, monthly_cost, monthly_gb, read_volume
from loki_shipper.local.aws import LocalAws

NOW = datetime(2026, 11, 29, 18, 0, tzinfo=UTC)


def test_fourteen_days_of_the_named_log_groups_are_added_up(aws: LocalAws) -> None:
    cloudwatch = aws.client("cloudwatch")
    for name, days in (("/a", 1), ("/a", 13), ("/a", 15), ("/b", 2), ("/other", 1)):
        when = NOW - timedelta(days=days)
        for metric, value in (("IncomingBytes", 1e9), ("IncomingLogEvents", 1e6)):
            datum = {
                "MetricName": metric,
                "Dimensions": [{"Name": "LogGroupName", "Value": name}],
                "Timestamp": when,
                "Value": value,
            }
            cloudwatch.put_metric_data(Namespace="AWS/Logs", MetricData=[datum])
    assert read_volume(cloudwatch, ["/a", "/b"], NOW) == Volume(3e9, 3e6)


class Recording:
    """A CloudWatch that counts queries, and gives each the sum 1."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def get_paginator(self, _: str) -> "Recording":
        return self

    def paginate(self, **request: list[dict[str, str]]) -> Iterator[dict[str, object]]:
        queries = request["MetricDataQueries"]
        self.sizes.append(len(queries))
        yield {"MetricDataResults": [{"Id": each["Id"], "Values": [1.0]} for each in queries]}


def test_a_call_has_as_many_queries_as_aws_allows() -> None:
    cloudwatch = Recording()
    volume = read_volume(cloudwatch, [f"/{number}" for number in range(600)], NOW)
    assert volume == Volume(600, 600)
    assert cloudwatch.sizes == [500, 500, 200]


def test_without_log_groups_aws_is_not_called() -> None:
    cloudwatch = Recording()
    assert read_volume(cloudwatch, [], NOW) == Volume(0, 0)
    assert not cloudwatch.sizes


def test_a_month_costs_what_the_price_list_says() -> None:
    # A million log events a day, 100 of them an invocation: 300,000 invocations a month.
    volume = Volume(taken_bytes=14 * 200e6, events=14e6)
    cost = monthly_cost(volume, architecture="arm64", memory_mb=256, metrics=38, secrets=1)
    assert cost.functions == pytest.approx(300_000 * (0.2e-6 + 0.031 * 0.25 * 0.0000133334))
    assert cost.own_log == pytest.approx(300_000 * 1_400 / 1e9 * 0.50)
    assert cost.metrics == pytest.approx(11.4)
    assert cost.secret == pytest.approx(0.4)
    assert cost.transfer == pytest.approx(6.0 * 0.3 * 0.09)
    assert cost.dashboard == pytest.approx(3.0)
    assert cost.total == pytest.approx(cost.functions + cost.own_log + cost.transfer + 14.8)
    assert monthly_gb(volume) == pytest.approx(6.0)


def test_more_memory_takes_less_time_and_so_costs_the_same() -> None:
    volume = Volume(1e9, 1e6)
    costs = [
        monthly_cost(volume, architecture="x86_64", memory_mb=memory, metrics=0, secrets=0).total
        for memory in (256, 1024)
    ]
    assert costs[0] == pytest.approx(costs[1])
