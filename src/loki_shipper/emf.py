"""Writes a function's log: lines of JSON that may contain metrics.

CloudWatch reads metrics from log lines in its embedded metric format (EMF): `_aws` names the
members of the line that are metrics, and the line may have other members
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
CloudWatch Logs charges by the byte, which costs more than Lambda for small payloads. So one line
has both the message and the metrics of an invocation. Counts by log group would cost too much as
metrics, so Logs Insights adds them up.
"""

import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

NAMESPACE: Final = "LokiShipper"

type LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
type Metric = tuple[str, str, float]
"""A metric's name, CloudWatch unit and value."""

_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class FunctionLog:
    """The log of a function; it leaves out messages below `level`.

    The metrics' dimensions are `service` and `stack`. Without a stack there is no dimension
    `stack`, as CloudWatch takes no empty value.
    """

    def __init__(self, service: str, stack: str | None, level: str = "INFO") -> None:
        self._dimensions = {"service": service} | ({} if stack is None else {"stack": stack})
        self._lowest = _LEVELS.index(level)

    def write(
        self,
        message: str,
        fields: Mapping[str, Any],
        metrics: Iterable[Metric] = (),
        *,
        counts: Mapping[str, Any] | None = None,
        level: LogLevel = "INFO",
    ) -> None:
        """Write a message, its fields, counts and metrics in one line.

        Counts and metrics are written also if the message is below the function's level.
        """
        is_enabled = _LEVELS.index(level) >= self._lowest
        line: dict[str, Any] = {"level": level, "message": message} if is_enabled else {}
        line |= self._dimensions
        if is_enabled:
            line |= fields
        line |= counts or {}
        if values := [*metrics]:
            line |= self._embedded(values)
        if is_enabled or counts or values:
            text = msgspec.json.encode(line, enc_hook=str).decode()
            # In one call, so that no other line comes between it and its line break.
            sys.stdout.write(f"{text}\n")

    def _embedded(self, metrics: list[Metric]) -> dict[str, Any]:
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [[*self._dimensions]],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit, _ in metrics],
        }
        metadata = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
        return {"_aws": metadata, **{name: value for name, _, value in metrics}}
