"""One invocation of the function that links log groups, behind its entry in `handler`."""

from __future__ import annotations

import json
import os
import random
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict, replace

from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.clock import Clock
from loki_shipper.emf import FunctionLog
from loki_shipper.subscriber.aws import SubscriberAws, connect
from loki_shipper.subscriber.request import Ignored, StackChanged, changes, request
from loki_shipper.subscriber.respond import follow_changes, respond
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
from loki_shipper.subscriber.run.metrics import metrics
from loki_shipper.subscriber.settings import settings
from loki_shipper.subscriber.stack.answer import Followed, stack_status
from loki_shipper.subscriber.stack.custom_resource import begun, failure, next_request, seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from loki_shipper.context import Context
    from loki_shipper.subscriber.aws import SubscriberClients
    from loki_shipper.subscriber.run.run_state import RunReport
    from loki_shipper.subscriber.settings import SubscriberSettings

_SHARE = 0.5
"""Two batches of the queue are worked on at a time, and share the rates of calls."""

_RESERVE = 60.0
"""Seconds kept back to finish what was begun, to remember it, and to answer CloudFormation."""


def run(event: Any, context: Context) -> dict[str, Any]:
    """Link log groups: all of them, or those that an event names.

    Returns the run's report, empty where there was nothing to do. Raises SettingsError,
    RequestError, AwsError or ConflictError.
    """
    match request(event):
        case Ignored():
            return {}
        case asked:
            configured = settings(os.environ)
            report = respond(asked, _dependencies(configured, context))
            _record(report, configured)
            return asdict(report)


def follow_queue(records: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    """Look at the log groups of a batch of messages from the queue.

    Returns which messages are to come again: those of log groups that there was no time for, and
    those that cannot be read, which end in the dead-letter queue. Raises SettingsError, AwsError or
    ConflictError, and then all of them come again.
    """
    configured = settings(os.environ)
    asked, unreadable = changes(records)
    deps = _dependencies(configured, context, share=_SHARE)
    report, unfinished = follow_changes({n for names in asked.values() for n in names}, deps)
    _record(report, configured)
    again = [message for message, names in asked.items() if unfinished.intersection(names)]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in (*unreadable, *again)]}


def follow_stack(event: dict[str, Any], context: Context) -> Callable[[], Followed]:
    """Prepare to link or unlink log groups as the stack is changed.

    Raises SettingsError, and then nothing was linked; what is returned raises AwsError,
    ConflictError and DeletedError.
    """
    configured = settings(os.environ)
    asked = request(event)
    assert isinstance(asked, StackChanged)
    stack = begun(asked, _now())

    def run() -> Followed:
        deps = _dependencies(configured, context, partial(seconds_left, stack))
        deps = replace(deps, stack_status=partial(stack_status, str(event.get("StackId"))))
        report = respond(stack, deps)
        _record(report, configured)
        return Followed(
            failure(stack, report),
            asdict(report),
            is_done=not _goes_on(next_request(stack, report, _now()), deps),
        )

    return run


def _goes_on(event: dict[str, Any] | None, deps: SubscriberDependencies) -> bool:
    """Have another invocation go on, if there is anything to go on with."""
    if event is None or deps.settings.queue_url is None:
        return False
    try:
        deps.aws.put_on_queue(json.dumps(event))
    except AwsError:
        # CloudFormation hears what is left, and whoever deletes the stack goes on.
        return False
    return True


def _dependencies(
    configured: SubscriberSettings,
    context: Context,
    waits: Callable[[int], float] = lambda _: float("inf"),
    share: float = 1.0,
) -> SubscriberDependencies:
    """Wire a run that ends before the function's time is up.

    It ends also before `waits` is, which gives the seconds that somebody waits at a time, in ms
    since 1970.
    """

    def remaining() -> float:
        return min(context.get_remaining_time_in_millis() / 1000, waits(_now())) - _RESERVE

    def jitter(longest: float) -> float:
        return random.uniform(0, longest)  # noqa: S311 - it spreads load, it keeps no secret

    pace = PacedCalls(
        clock=time.monotonic, sleep=time.sleep, remaining=remaining, jitter=jitter, share=share
    )
    clock = Clock(_now, time.sleep, remaining)
    return SubscriberDependencies(SubscriberAws(_clients(), configured, pace), configured, clock)


def _now() -> int:
    return time.time_ns() // 1_000_000


@cache
def _clients() -> SubscriberClients:
    return connect()


def _record(report: RunReport, configured: SubscriberSettings) -> None:
    trouble = report.failed or report.behind or report.given_up or report.left
    FunctionLog("subscriber", configured.stack, configured.log_level).write(
        "linked",
        {"report": asdict(report)},
        metrics(report),
        level="WARNING" if trouble else "INFO",
    )
