"""Gives the metrics of one invocation."""

from collections.abc import Iterator

from loki_shipper.shipper.delivery.outcome import Report

_OF_SHIPPERS = ("own_log_group", "shipper_log_group")
_OF_LOG_FILES = {
    "LogFilesShipped": ("shipped",),
    "LogFilesContinued": ("continued",),
    "LogFilesWaiting": ("waiting", "crashed"),
    "LogFilesRefused": ("refused",),
    "LogFilesGone": ("gone",),
    "LogFilesSkipped": ("empty", "skipped", "not_listed", "own_bucket"),
}
"""The words of `Report.log_files` that each metric counts."""


def metrics(report: Report, *, now: float) -> Iterator[tuple[str, str, float]]:
    """Give each metric's name, CloudWatch unit and value; `now` is in seconds since 1970.

    `LinesOfShippers` come from log groups of Loki-Shippers, and are dropped. Every counter has a
    value in every invocation, so that an alarm has data before the first fault.
    """
    yield "LinesReceived", "Count", report.received
    yield "LinesDelivered", "Count", report.delivered
    yield "LinesLate", "Count", report.late
    yield "LinesDropped", "Count", sum(report.dropped.values())
    yield "LinesOfShippers", "Count", sum(report.dropped.get(each, 0) for each in _OF_SHIPPERS)
    yield "LinesRejected", "Count", sum(report.rejected.values())
    yield "LinesDeferred", "Count", sum(report.deferred.values())
    yield "LinesErrored", "Count", sum(report.errored.values())
    yield "RecordsUndecodable", "Count", sum(report.undecodable.values())
    if report.log_files:
        for name, words in _OF_LOG_FILES.items():
            yield name, "Count", sum(report.log_files.get(word, 0) for word in words)
    if report.newest:
        yield "Lag", "Seconds", max(0.0, now - report.newest / 1000)
