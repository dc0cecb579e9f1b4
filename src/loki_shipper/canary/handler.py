"""The handler of the canary function, which a schedule invokes."""

from __future__ import annotations

import os
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins
from msgspec.structs import replace

from loki_shipper.aws.arn import Origin, function_origin
from loki_shipper.aws.boto import Bounds
from loki_shipper.aws.http import AwsHttp
from loki_shipper.canary.log_group import STREAM, CanaryLogGroup
from loki_shipper.canary.loki import QueryTarget, find, selector
from loki_shipper.canary.measure import (
    CanaryEffects,
    CanaryReport,
    arrival_metrics,
    measure,
    metrics,
)
from loki_shipper.canary.settings import settings as canary_settings
from loki_shipper.clock import Clock
from loki_shipper.emf import FunctionLog
from loki_shipper.environment import SettingsError
from loki_shipper.model import LogData
from loki_shipper.settings import settings
from loki_shipper.shipper.aws import fetch_secret, fetch_tags
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.push import connect
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.labels.tags import TagsUnavailable

if TYPE_CHECKING:
    from loki_shipper.canary.settings import CanarySettings
    from loki_shipper.context import Context
    from loki_shipper.settings import Settings

_BOUNDS = Bounds(connect=2, read=5, attempts=3)
_RESERVE = 15.0
"""Seconds reserved for a last query, for writing the arrivals and the function's own log."""


def handle(event: Any, context: Context) -> Any:
    """Measure the way of a line, and return the report. Raises SettingsError."""
    del event
    own, shipper = canary_settings(os.environ), settings(os.environ)
    log = FunctionLog("canary", shipper.stack, shipper.log_level)
    report = _measured(own, shipper, context)
    for each in report.arrived:
        assert each.seconds is not None
        log.write("arrived", to_builtins(each), arrival_metrics(each.seconds))
    has_trouble = report.missing or report.fault
    log.write(
        "looked",
        {"found": len(report.arrived), "missing": report.missing, "fault": report.fault},
        metrics(report),
        level="WARNING" if has_trouble else "INFO",
    )
    return to_builtins(report)


def _measured(own: CanarySettings, shipper: Settings, context: Context) -> CanaryReport:
    origin = function_origin(context.invoked_function_arn) or Origin("aws", "", "")
    try:
        target = _target(own, shipper, origin)
        reading = replace(
            shipper,
            loki_url=target.url,
            loki_secret=own.loki_read_secret or shipper.loki_secret,
        )
        access = credentials(reading, fetch_secret)
    except SettingsError as error:
        return CanaryReport(missing=1, fault=str(error))
    group = CanaryLogGroup(own.canary_log_group, partial(AwsHttp(None, _BOUNDS).call, "logs"))
    with connect(access) as session:
        effects = CanaryEffects(
            read=group.read,
            write=group.write,
            find=lambda since: find(session, target, since, _now()),
            clock=Clock(
                _now,
                time.sleep,
                lambda: context.get_remaining_time_in_millis() / 1000 - _RESERVE,
            ),
        )
        return measure(uuid.uuid4().hex, effects)


def _target(own: CanarySettings, shipper: Settings, origin: Origin) -> QueryTarget:
    """Say where Loki has the lines that the shipper pushes. Raises SettingsError."""
    group = own.canary_log_group
    data = LogData("DATA_MESSAGE", origin.account, group, STREAM, [])
    tags = fetch_tags(group, origin)
    known = {} if isinstance(tags, TagsUnavailable) else tags
    labelled = label_stream(data, known, region=origin.region, settings=shipper)
    if labelled.missing_tenant is not None:
        raise SettingsError(f"the canary's log group has no tenant ({labelled.missing_tenant})")
    if not labelled.stream.labels:
        raise SettingsError("the canary's log group has no labels, so Loki cannot be asked for it")
    return QueryTarget(
        own.loki_read_url or shipper.loki_url,
        labelled.stream.tenant,
        selector(labelled.stream.labels, shipper.builtin_labels),
    )


def _now() -> int:
    return time.time_ns() // 1_000_000
