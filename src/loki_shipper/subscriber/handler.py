"""The entry of the function that links log groups."""

from __future__ import annotations

import os
import random
import time
import urllib.request
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from msgspec.structs import asdict

from loki_shipper.emf import function_metrics
from loki_shipper.subscriber.aws import Aws, connect
from loki_shipper.subscriber.clock import Clock
from loki_shipper.subscriber.custom_resource import custom_resource
from loki_shipper.subscriber.metrics import metrics
from loki_shipper.subscriber.pace import Pace
from loki_shipper.subscriber.request import Ignored, StackChanged, request
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.settings import settings
from loki_shipper.subscriber.surroundings import Surroundings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from loki_shipper.subscriber.aws import Clients
    from loki_shipper.subscriber.request import GroupsChanged, Sweep
    from loki_shipper.subscriber.settings import Settings
    from loki_shipper.subscriber.tally import Report

_RESERVE = 60.0
"""Seconds kept back to finish what was begun, to remember it, and to answer CloudFormation."""

_ANSWER_SECONDS = 10


def handle(event: Any, context: LambdaContext) -> dict[str, Any]:
    """Link log groups: all of them, those that an event names, or as the stack is changed.

    Returns the run's report, empty where there was nothing to do. Raises SettingsError,
    RequestError, AwsError or ConflictError; Lambda then tries twice more, and the next sweep comes
    within the hour.
    """
    match request(event):
        case Ignored():
            return {}
        case StackChanged() as stack:
            # Everything that can fail is in the run, so that it is answered.
            return asdict(custom_resource(stack, lambda: _run(stack, context), _send))
        case asked:
            return asdict(_run(asked, context))


def _run(asked: Sweep | GroupsChanged | StackChanged, context: LambdaContext) -> Report:
    configured = settings(os.environ)
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


def _send(url: str, body: bytes) -> None:
    # CloudFormation signs the URL for an empty content type.
    asked = urllib.request.Request(  # noqa: S310 - the URL is CloudFormation's own
        url, data=body, method="PUT", headers={"Content-Type": ""}
    )
    with urllib.request.urlopen(asked, timeout=_ANSWER_SECONDS):  # noqa: S310 - likewise
        pass


def _record(report: Report, configured: Settings) -> None:
    measured = function_metrics("subscriber", configured.stack)
    for name, unit, value in metrics(report):
        measured.add_metric(name=name, unit=unit, value=value)
    measured.flush_metrics()
    logger = Logger(service="subscriber", level=configured.log_level)
    trouble = report.failed or report.behind or report.given_up or report.left
    log = logger.warning if trouble else logger.info
    log("linked", extra={"report": asdict(report)})
