"""Metrics of CloudWatch, as AWS documents those of CloudWatch Logs and Lambda."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 11, 29, 18, 0, tzinfo=UTC)


def put_metric(  # noqa: PLR0913, PLR0917 - each is a part of a point
    cloudwatch: Any,
    namespace: str,
    name: str,
    of: Mapping[str, str],
    value: float,
    when: datetime = NOW,
) -> None:
    """Put one point of a metric."""
    point = {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": each} for key, each in of.items()],
        "Timestamp": when,
        "Value": value,
    }
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=[point])
