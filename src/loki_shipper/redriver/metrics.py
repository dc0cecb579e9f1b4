"""Gives the metrics of one run."""

from collections.abc import Iterator
from datetime import datetime

from loki_shipper.redriver.report import RedriveReport


def metrics(run: RedriveReport, *, now: datetime) -> Iterator[tuple[str, str, float]]:
    """Give each metric's name, CloudWatch unit and value; every run has all metrics."""
    yield "ObjectsRedriven", "Count", run.objects
    yield "ObjectsSetAside", "Count", run.set_aside
    yield "ObjectsLeft", "Count", run.left
    yield "OldestAge", "Seconds", (now - run.oldest).total_seconds() if run.oldest else 0.0
    yield "BucketFaults", "Count", sum(run.faults.values())
    yield "LinesRedriven", "Count", run.lines
    yield "LinesLate", "Count", run.late
    yield "LinesRejected", "Count", run.rejected
