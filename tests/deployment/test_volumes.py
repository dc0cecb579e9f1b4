"""What log groups received in 14 days is read with one point a metric, below AWS's limits."""

from datetime import timedelta
from typing import Any

import pytest

from loki_shipper.clock import Clock
from loki_shipper.deployment.preview import pace_by
from loki_shipper.deployment.volumes import (
    MetricName,
    ReadSums,
    Volume,
    read_events_of_invocation,
    read_volumes,
    sums_reader,
    total_volume,
)
from loki_shipper.local.aws import LocalAws
from tests.metrics import NOW, put_metric


class Recording:
    """A CloudWatch that counts queries and pages, and gives each metric the sum 1 in two parts."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def get_metric_data(self, **request: Any) -> dict[str, object]:
        queries = request["MetricDataQueries"]
        first = "NextToken" not in request
        if first:
            self.sizes.append(len(queries))
        results = [{"Id": each["Id"], "Values": [0.5]} for each in queries]
        return {"MetricDataResults": results, **({"NextToken": "more"} if first else {})}


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def clock(slept: list[float]) -> Clock:
    return Clock(lambda: int(NOW.timestamp() * 1000 + sum(slept) * 1000), slept.append, lambda: 1e9)


def reading(cloudwatch: Any, clock: Clock) -> ReadSums:
    return sums_reader(cloudwatch, clock.now(), pace_by(clock))


def test_fourteen_days_of_each_log_group_are_added_up(aws: LocalAws, clock: Clock) -> None:
    cloudwatch = aws.client("cloudwatch")
    for name, days in (("/a", 1), ("/a", 13), ("/a", 15), ("/b", 2), ("/other", 1)):
        for metric, value in (("IncomingBytes", 1e9), ("IncomingLogEvents", 1e6)):
            of = {"LogGroupName": name}
            put_metric(cloudwatch, "AWS/Logs", metric, of, value, NOW - timedelta(days=days))
    found = read_volumes(["/a", "/b", "/c"], reading(cloudwatch, clock))
    assert found == {"/a": Volume(2e9, 2e6), "/b": Volume(1e9, 1e6), "/c": Volume(0, 0)}
    assert total_volume(found.values()) == Volume(3e9, 3e6)


def test_a_call_has_as_many_queries_as_aws_allows_and_all_its_pages_are_read(clock: Clock) -> None:
    cloudwatch = Recording()
    found = read_volumes([f"/{number}" for number in range(600)], reading(cloudwatch, clock))
    assert {*found.values()} == {Volume(1, 1)}
    assert cloudwatch.sizes == [500, 500, 200]


def test_thirteen_thousand_log_groups_stay_below_the_rate(clock: Clock, slept: list[float]) -> None:
    cloudwatch = Recording()
    read_volumes([f"/{number}" for number in range(13_000)], reading(cloudwatch, clock))
    calls = 2 * len(cloudwatch.sizes)
    assert calls == 104
    assert sum(slept) == pytest.approx((calls - 1) / 40, rel=0.1)


def test_without_log_groups_aws_is_not_called(clock: Clock) -> None:
    cloudwatch = Recording()
    assert read_volumes([], reading(cloudwatch, clock)) == {}
    assert not cloudwatch.sizes


def sums(found: dict[str, float]) -> ReadSums:
    def read(metrics: Any) -> list[float]:
        assert all(isinstance(each, MetricName) for each in metrics)
        return [
            found.get(f"{each.name} {each.dimensions.get('FunctionName', '')}".strip(), 0.0)
            for each in metrics
        ]

    return read


def test_log_events_of_an_invocation_are_those_of_all_functions_that_ship() -> None:
    found = {"LinesReceived": 1_000.0, "Invocations a": 30.0, "Invocations b": 20.0}
    assert read_events_of_invocation(["a", "b"], "s", sums(found)) == pytest.approx(20)


@pytest.mark.parametrize("found", [{}, {"LinesReceived": 7.0}, {"Invocations a": 7.0}])
def test_a_stack_without_invocations_tells_nothing(found: dict[str, float]) -> None:
    assert read_events_of_invocation(["a"], None, sums(found)) is None
