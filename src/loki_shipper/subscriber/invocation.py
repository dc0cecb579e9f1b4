"""One invocation of the function that links log groups, behind its entry in `handler`."""

from __future__ import annotations

import os
import random
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from msgspec.structs import asdict

from loki_shipper.emf import function_metrics
from loki_shipper.subscriber.answer import Followed
from loki_shipper.subscriber.aws import Aws, connect
from loki_shipper.subscriber.clock import Clock
from loki_shipper.subscriber.custom_resource import failure
from loki_shipper.subscriber.metrics import metrics
from loki_shipper.subscriber.pace import Pace
from loki_shipper.subscriber.request import Ignored, StackChanged, request
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.settings import settings
from loki_shipper.subscriber.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from loki_shipper.subscriber.aws import Clients
    from loki_shipper.subscriber.request import GroupsChanged, Sweep
    from loki_shipper.subscriber.settings import Settings
    from loki_shipper.subscriber.tally import Report

_RESERVE = 60.0
"""Seconds kept back to finish what was begun, to remember it, and to answer CloudFormation."""


def run(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Link log groups: all of them, or those that an event names.

    Returns the run's report, empty where there was nothing to do. Raises SettingsError,
    RequestError, AwsError or ConflictError.
    """
    match request(event):
        case Ignored():
            return {}
        case asked:
            return asdict(_run(asked, settings(os.environ), context))


def follow(event: dict[str, Any], context: LambdaContext) -> Callable[[], Followed]:
    """Prepare to link or unlink log groups as the stack is changed.

    Raises SettingsError, and then nothing was linked; what is returned raises AwsError and
    ConflictError.
    """
    configured = settings(os.environ)
    stack = request(event)
    assert isinstance(stack, StackChanged)

    def run() -> Followed:
        report = _run(stack, configured, context)
        return Followed(failure(stack, report), asdict(report))

    return run


def _run(
    asked: Sweep | GroupsChanged | StackChanged, configured: Settings, context: LambdaContext
) -> Report:
    report = respond(asked, _surroundings(configured, context))
    _record(report, configured)
    return report


def _surroundings(configured: Settings, context: LambdaContext) -> Surroundings:
    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000 - _RESERVE

    def jitter(longest: float) -> float:
        return random.uniform(0, longest)  # noqa: S311 - it spreads load, it keeps no secret

    pace = Pace(clock=time.monotonic, sleep=time.sleep, remaining=remaining, jitter=jitter)
    clock = Clock(lambda: time.time_ns() // 1_000_000, time.sleep, remaining)
    return Surroundings(Aws(_clients(), configured, pace), configured, clock)


@cache
def _clients() -> Clients:
    return connect()


def _record(report: Report, configured: Settings) -> None:
    measured = function_metrics("subscriber", configured.stack)
    for name, unit, value in metrics(report):
        measured.add_metric(name=name, unit=unit, value=value)
    measured.flush_metrics()
    logger = Logger(service="subscriber", level=configured.log_level)
    trouble = report.failed or report.behind or report.given_up or report.left
    log = logger.warning if trouble else logger.info
    log("linked", extra={"report": asdict(report)})
