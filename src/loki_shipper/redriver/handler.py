"""The handler of the redriver function, which a schedule invokes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec import ValidationError, convert, to_builtins

from loki_shipper.emf import FunctionLog
from loki_shipper.environment import SettingsError
from loki_shipper.redriver.bucket import EVERYTHING, Share, waiting
from loki_shipper.redriver.cursor import read_cursor, write_cursor
from loki_shipper.redriver.effects import CONCURRENT_LOG_GROUPS, redrive_effects
from loki_shipper.redriver.metrics import metrics
from loki_shipper.redriver.redrive import redrive
from loki_shipper.redriver.s3 import s3
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.delivery.hourly import log_members
from loki_shipper.shipper.shipper import Shipper

if TYPE_CHECKING:
    from loki_shipper.context import Context
    from loki_shipper.redriver.bucket import Bucket
    from loki_shipper.redriver.report import RedriveReport

_RESERVE = 20.0
"""Seconds reserved for deleting objects, saving the cursor and writing the log."""


def handle(event: Any, context: Context) -> Any:
    """Ship the objects that wait in the bucket, or a worker's share of them; return the report.

    The schedule sends `{"worker": 0, "workers": 4}`. Any other event means all objects. Raises
    SettingsError, and BucketError if the bucket cannot be listed.
    """
    bucket, shipper, stack = _wired(context.invoked_function_arn)
    share, now = _share(event), datetime.now(UTC)

    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE

    before = read_cursor(bucket, share)
    objects = waiting(bucket, now, share=share, after=before.after)
    with ThreadPoolExecutor(CONCURRENT_LOG_GROUPS) as pool:
        effects = redrive_effects(
            shipper.dependencies(remaining),
            bucket,
            workers=share.workers,
            clock=time.monotonic,
            now=now,
            map=pool.map,
        )
        run = redrive(objects, effects, cursor=before)
    # Without a cursor the next run begins with the first object. No line is lost.
    with suppress(DeadLetterError):
        write_cursor(before, run.cursor, share, effects.put)
    return _logged(run, stack)


def _share(event: Any) -> Share:
    try:
        share = convert(event, Share)
    except ValidationError:
        return EVERYTHING
    return share if 0 <= share.worker < share.workers else EVERYTHING


@cache
def _wired(function_arn: str) -> tuple[Bucket, Shipper, str | None]:
    configured = settings(os.environ)
    if configured.bucket is None:
        raise SettingsError("BUCKET is not set: there is nothing to redrive from")
    shipper = Shipper(configured, function_arn, connections=CONCURRENT_LOG_GROUPS)
    return s3(configured.bucket), shipper, configured.stack


def _logged(run: RedriveReport, stack: str | None) -> Any:
    report: dict[str, Any] = to_builtins(run)
    # The cursor is for the next run only, and may name a thousand objects.
    del report["cursor"]
    del report["hourly"]
    has_problems = run.left or run.set_aside or run.rejected or run.faults
    log = FunctionLog("loki-shipper", stack)
    members, following = log_members(run.hourly)
    log.write(
        "redriven",
        report,
        metrics(run, now=datetime.now(UTC)),
        counts=members,
        level="WARNING" if has_problems else "INFO",
    )
    for each in following:
        log.write("counted", {}, counts=each)
    return report
