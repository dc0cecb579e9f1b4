"""A function's own log: one line of JSON for each thing to say, which may carry metrics as well.

CloudWatch reads metrics from a log line in its embedded metric format (EMF): `_aws` names those
members of the line that are metrics, and the line may have any other members
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
CloudWatch Logs charges by the byte, and for small payloads that is more than Lambda costs: so the
metrics of an invocation and what the log says of it are one line.
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
    """The log of a function of a stack; nothing below `level` is said.

    The metrics' dimensions are `service` and `stack`. Without a stack there is no such dimension,
    as CloudWatch takes no empty value.
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
        level: LogLevel = "INFO",
    ) -> None:
        """Say a message with its fields, and give metrics, in one line.

        A message below the function's level is left out; its metrics are not.
        """
        is_said = _LEVELS.index(level) >= self._lowest
        line: dict[str, Any] = {"level": level, "message": message} if is_said else {}
        line |= self._dimensions
        if is_said:
            line |= fields
        if measured := [*metrics]:
            line |= self._embedded(measured)
        if is_said or measured:
            text = msgspec.json.encode(line, enc_hook=str).decode()
            # In one piece, so that no other line comes between it and its end.
            sys.stdout.write(f"{text}\n")

    def _embedded(self, metrics: list[Metric]) -> dict[str, Any]:
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [[*self._dimensions]],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit, _ in metrics],
        }
        about = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
        return {"_aws": about, **{name: value for name, _, value in metrics}}
