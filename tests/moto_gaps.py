"""Adds to moto what it lacks of CloudWatch Logs.

Moto numbers log events from 0; AWS gives each an id of 56 digits, by which Loki folds repeats.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.logs.models import LogEvent

from loki_shipper.local.sample import event_id


@contextmanager
def real_event_ids() -> Iterator[None]:
    """Have moto give log events ids as AWS does, to filters and to readers alike."""
    event: Any = LogEvent
    original = event.__init__

    def init(self: Any, ingestion_time: int, log_event: dict[str, Any]) -> None:
        original(self, ingestion_time, log_event)
        # One call of PutLogEvents each: the number is random on AWS, and distinct here.
        self.event_id = event_id(self.timestamp, ingestion_time, self.event_id, 0)

    event.__init__ = init
    try:
        yield
    finally:
        event.__init__ = original
