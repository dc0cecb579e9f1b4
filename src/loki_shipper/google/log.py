"""Writes the log of the service: lines of JSON in the format of Cloud Logging.

Cloud Logging takes `severity` and `message` out of such a line, and the other members are its
`jsonPayload` (https://cloud.google.com/logging/docs/structured-logging). Metrics are counted from
it. One line sums up many pushes, so that the log costs little.
"""

import sys
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import asdict

from loki_shipper.shipper.delivery.outcome import Report, total

type Severity = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

_SEVERITIES: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_EVERY: Final = 60.0
_EVERY_WITH_PROBLEMS: Final = 10.0
"""Seconds between two lines about pushes."""

_NOTHING: Final[tuple[object, ...]] = ({}, None, (), 0)


class CloudLog:
    """The log of the service; it leaves out lines below `level`. Several threads may write.

    `clock` is in seconds, `now` in seconds since 1970.
    """

    def __init__(self, level: str, clock: Callable[[], float], now: Callable[[], float]) -> None:
        self._lowest = _SEVERITIES.index(level)
        self._clock = clock
        self._now = now
        self._lock = Lock()
        self._reports: list[Report] = []
        self._written: dict[str, float] = {}
        self._written_at = float("-inf")

    def write(self, severity: Severity, message: str, fields: Mapping[str, Any]) -> None:
        """Write one line."""
        if _SEVERITIES.index(severity) >= self._lowest:
            line = {"severity": severity, "message": message, **fields}
            text = msgspec.json.encode(line, enc_hook=str).decode()
            # In one call, so that no other line comes between it and its line break.
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def write_seldom(self, severity: Severity, message: str) -> None:
        """Write a line, unless the same one was written a moment ago."""
        now = self._clock()
        with self._lock:
            if now < self._written.get(message, float("-inf")) + _EVERY_WITH_PROBLEMS:
                return
            self._written[message] = now
        self.write(severity, message, {})

    def add(self, report: Report) -> None:
        """Count the report of a push, and write a line if one is due."""
        with self._lock:
            self._reports = [total([*self._reports, report])]
            summed = self._reports[0]
            pause = _EVERY_WITH_PROBLEMS if _has_problems(summed) else _EVERY
            if self._clock() < self._written_at + pause:
                return
        self.write_sum()

    def write_sum(self) -> None:
        """Write the sum of the reports since the last line, if there are any."""
        with self._lock:
            reports, self._reports = self._reports, []
            self._written_at = self._clock()
        for summed in reports:
            fields = {
                name: value for name, value in asdict(summed).items() if value not in _NOTHING
            }
            if newest := fields.pop("newest", 0):
                fields["lag_seconds"] = round(max(0.0, self._now() - newest / 1000), 3)
            self.write("WARNING" if _has_problems(summed) else "INFO", "shipped", fields)


def _has_problems(report: Report) -> bool:
    return bool(report.rejected or report.errored or report.deferred or report.undecodable)
