"""Adds to moto what it lacks of CloudWatch Logs and S3.

Moto numbers log events from 0; AWS gives each an id of 56 digits, by which Loki folds repeats. Moto
keeps that a bucket sends to EventBridge, but does not say so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from xml.etree.ElementTree import SubElement, fromstring, tostring

from moto.logs.models import LogEvent, logs_backends
from moto.s3.responses import S3Response

from loki_shipper.local.aws import ACCOUNT
from loki_shipper.local.sample import event_id

_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


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


@contextmanager
def event_bridge_of_buckets() -> Iterator[None]:
    """Have moto say of a bucket that it sends to EventBridge."""
    responses: Any = S3Response
    original = responses.get_bucket_notification

    def get(self: Any) -> Any:
        status, headers, body = original(self)
        config = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if config is not None and config.event_bridge is not None:
            root = fromstring(body)
            SubElement(root, f"{_S3}EventBridgeConfiguration")
            body = tostring(root)
        return status, headers, body

    responses.get_bucket_notification = get
    try:
        yield
    finally:
        responses.get_bucket_notification = original


def age_log_group(name: str, region: str) -> None:
    """Let a log group be ten days older: moto creates all of them now."""
    logs_backends[ACCOUNT][region].groups[name].creation_time -= timedelta(days=10)
