"""The entry of the function that CloudWatch Logs invokes."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from loki_shipper.settings import settings
from loki_shipper.shipper.shipper import Shipper

if TYPE_CHECKING:
    from loki_shipper.context import Context

_RESERVE = 8.0
"""Seconds kept back from delivering, to write what is left to the bucket and to say so."""


class DeliveryError(Exception):
    """Raised at the end of an invocation that must fail, so that Lambda keeps its event."""


def handle(event: Any, context: Context) -> dict[str, Any]:
    """Ship the log events of one subscription filter's payload to Loki.

    Returns the report. Raises SettingsError, UndecodableError (without a bucket) or
    DeliveryError; then Lambda tries twice more and writes the event to the bucket.
    """
    environment = _shipper(context.invoked_function_arn)
    report = environment.ship(
        event, lambda: context.get_remaining_time_in_millis() / 1000 - _RESERVE
    )
    if report.failure is not None:
        raise DeliveryError(report.failure)
    return asdict(report)


@cache
def _shipper(function_arn: str) -> Shipper:
    return Shipper(settings(os.environ), function_arn)
