"""One invocation of the subscriber: it reads settings and clock, runs, and logs the report."""

from __future__ import annotations

import json
import os
import random
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins
from msgspec.structs import replace

from loki_shipper.aws.boto import make_client
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.clock import Clock
from loki_shipper.emf import FunctionLog
from loki_shipper.subscriber.audit_stack import audit_stack
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.clients import BOUNDS, connect
from loki_shipper.subscriber.request import (
    AuditDue,
    Ignored,
    StackChanged,
    changed_groups,
    request,
)
from loki_shipper.subscriber.respond import link_changed_groups, respond
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
from loki_shipper.subscriber.run.report import metrics
from loki_shipper.subscriber.self_audit import audit_metrics
from loki_shipper.subscriber.settings import settings
from loki_shipper.subscriber.stack.answer import StackResult, stack_status
from loki_shipper.subscriber.stack.custom_resource import (
    failure,
    next_request,
    seconds_left,
    with_start,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from loki_shipper.context import Context
    from loki_shipper.subscriber.clients import SubscriberClients
    from loki_shipper.subscriber.run.report import RunReport
    from loki_shipper.subscriber.settings import SubscriberSettings

_SHARE = 0.5
"""Lambda runs two batches of the queue at a time; each makes half of the calls."""

_RESERVE = 60.0
"""Seconds reserved to finish a call, to write the memory, and to answer CloudFormation."""


def run(event: Any, context: Context) -> dict[str, Any]:
    """Link all log groups, or those that an event names.

    Returns the run's report, empty if there was nothing to do. Raises SettingsError, RequestError,
    AwsError or ConflictError.
    """
    match request(event):
        case Ignored():
            return {}
        case AuditDue():
            return _audit(settings(os.environ), context)
        case wanted:
            configured = settings(os.environ)
            report = respond(wanted, _dependencies(configured, context))
            _record(report, configured)
            return _returned(report)


def _audit(configured: SubscriberSettings, context: Context) -> dict[str, Any]:
    """Audit the stack, and return the report; a member of a hub has none."""
    pace, clock = _paced(context)
    clients = _clients()
    deps = SubscriberDependencies(SubscriberAws(clients, configured, pace), configured, clock)
    report = audit_stack(os.environ, deps, clients, make_client("cloudwatch", BOUNDS), pace)
    if report is None:
        return {}
    returned: dict[str, Any] = to_builtins(report)
    FunctionLog("subscriber", configured.stack, configured.log_level).write(
        "audited",
        {"report": returned},
        audit_metrics(report),
        level="WARNING" if report.differences else "INFO",
    )
    return returned


def link_queued(records: list[dict[str, Any]], context: Context) -> dict[str, Any]:
    """Link the log groups that a batch of messages from the queue names.

    Returns the failed messages: those with log groups that the run did not finish, and those that
    cannot be read, which end in the dead-letter queue. Raises SettingsError, AwsError or
    ConflictError; then Lambda retries all messages.
    """
    configured = settings(os.environ)
    changed, unreadable = changed_groups(records)
    deps = _dependencies(configured, context, share=_SHARE)
    report, unfinished = link_changed_groups({n for names in changed.values() for n in names}, deps)
    _record(report, configured)
    again = [message for message, names in changed.items() if unfinished.intersection(names)]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in (*unreadable, *again)]}


def stack_run(event: dict[str, Any], context: Context) -> Callable[[], StackResult]:
    """Give the run that links or unlinks log groups for an event of CloudFormation.

    Raises SettingsError, before anything is linked. The run raises AwsError, ConflictError and
    DeletedError.
    """
    configured = settings(os.environ)
    changed = request(event)
    assert isinstance(changed, StackChanged)
    stack = with_start(changed, _now())

    def run() -> StackResult:
        deps = _dependencies(configured, context, partial(seconds_left, stack))
        deps = replace(deps, stack_status=partial(stack_status, str(event.get("StackId"))))
        report = respond(stack, deps)
        _record(report, configured)
        return StackResult(
            failure(stack, report),
            _returned(report),
            is_done=not _is_continued(next_request(stack, report, _now()), deps),
        )

    return run


def _is_continued(event: dict[str, Any] | None, deps: SubscriberDependencies) -> bool:
    """Put an event on the queue that another invocation continues with; False if that failed."""
    if event is None or deps.settings.queue_url is None:
        return False
    try:
        deps.aws.put_on_queue(json.dumps(event))
    except AwsError:
        # The answer to CloudFormation says how to continue.
        return False
    return True


def _dependencies(
    configured: SubscriberSettings,
    context: Context,
    seconds_until_answer: Callable[[int], float] = lambda _: float("inf"),
    share: float = 1.0,
) -> SubscriberDependencies:
    """Give the dependencies of a run that ends before the function's timeout.

    It ends also before an answer is due: `seconds_until_answer` takes a time in ms since 1970.
    """
    pace, clock = _paced(context, seconds_until_answer, share)
    return SubscriberDependencies(SubscriberAws(_clients(), configured, pace), configured, clock)


def _paced(
    context: Context,
    seconds_until_answer: Callable[[int], float] = lambda _: float("inf"),
    share: float = 1.0,
) -> tuple[PacedCalls, Clock]:
    """Give the pace of calls of AWS, and the clock of the run."""

    def remaining() -> float:
        return (
            min(context.get_remaining_time_in_millis() / 1000, seconds_until_answer(_now()))
            - _RESERVE
        )

    def jitter(longest: float) -> float:
        return random.uniform(0, longest)  # noqa: S311 - it spreads load and protects no secret

    pace = PacedCalls(
        clock=time.monotonic, sleep=time.sleep, remaining=remaining, jitter=jitter, share=share
    )
    return pace, Clock(_now, time.sleep, remaining)


def _now() -> int:
    return time.time_ns() // 1_000_000


@cache
def _clients() -> SubscriberClients:
    return connect()


def _returned(report: RunReport) -> dict[str, Any]:
    """Give a report as Lambda takes it: only what JSON has, also within its lists."""
    returned: dict[str, Any] = to_builtins(report)
    return returned


def _record(report: RunReport, configured: SubscriberSettings) -> None:
    trouble = (
        report.failed or report.behind or report.given_up or report.left or report.buckets.failed
    )
    FunctionLog("subscriber", configured.stack, configured.log_level).write(
        "linked",
        {"report": _returned(report)},
        metrics(report),
        level="WARNING" if trouble else "INFO",
    )
