"""The entry of the function that a schedule invokes."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from msgspec import to_builtins
from msgspec.structs import asdict

from loki_shipper.redriver.bucket import Bucket, waiting
from loki_shipper.redriver.metrics import metrics
from loki_shipper.redriver.redrive import Redriven, redrive
from loki_shipper.redriver.s3 import s3
from loki_shipper.settings import SettingsError, settings
from loki_shipper.shipper.sandbox import Sandbox

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_RESERVE = 8.0
"""Seconds kept back from delivering, to empty the bucket and to say what was done."""


def handle(_event: Any, context: LambdaContext) -> Any:
    """Ship what waits in the bucket.

    Returns what was done. Raises SettingsError, or BucketError where the bucket is out of reach.
    """
    bucket, sandbox = _wired(context.invoked_function_arn)

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE

    run = redrive(
        waiting(bucket),
        bucket,
        lambda event: sandbox.deliver(event, remaining),
        now=datetime.now(UTC),
        remaining=remaining,
    )
    _tell(run)
    return to_builtins(run)


@cache
def _wired(function_arn: str) -> tuple[Bucket, Sandbox]:
    configured = settings(os.environ)
    if configured.bucket is None:
        raise SettingsError("BUCKET is not set: there is nothing to redrive from")
    return s3(configured.bucket), Sandbox(configured, function_arn)


def _tell(run: Redriven) -> None:
    measured = Metrics(namespace="LokiShipper", service="loki-shipper")
    for name, unit, value in metrics(run, now=datetime.now(UTC)):
        measured.add_metric(name=name, unit=unit, value=value)
    measured.flush_metrics()
    logger = Logger(service="loki-shipper")
    log = logger.warning if run.left or run.set_aside or run.rejected else logger.info
    log("redriven", extra=asdict(run))
