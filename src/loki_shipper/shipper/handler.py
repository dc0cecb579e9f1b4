"""The entry of the functions that ship: for log groups, for a Kinesis stream and for log files."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper
from loki_shipper.shipper.sources.event import takes_item_failures

if TYPE_CHECKING:
    from loki_shipper.context import Context

_RESERVE = 8.0
"""Seconds at the end of an invocation for writing dead letters and the report."""


class DeliveryError(Exception):
    """Raised when the invocation must fail, so that Lambda tries its event again."""


def handle(event: Any, context: Context) -> dict[str, Any]:
    """Ship the log events of an invocation's event to Loki.

    Returns the report. For a batch of records it returns the records that Lambda must send again:
    `{"batchItemFailures": [{"itemIdentifier": …}]}`. Raises SettingsError, RulesError or
    DeliveryError. Lambda then tries again, and after the last try writes the event to the bucket.
    """
    shipper = _shipper(context.invoked_function_arn)
    report = shipper.ship(event, lambda: context.get_remaining_time_in_millis() / 1000 - _RESERVE)
    if takes_item_failures(event):
        return {"batchItemFailures": [{"itemIdentifier": each} for each in report.retry]}
    if report.failure is not None:
        raise DeliveryError(report.failure)
    answer = asdict(report)
    del answer["hourly"]
    return answer


@cache
def _shipper(function_arn: str) -> Shipper:
    return Shipper(settings(os.environ), function_arn)
