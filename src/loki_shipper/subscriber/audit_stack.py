"""Makes the effects of the daily audit of what the subscriber has, and runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from loki_shipper.audit.calls import insights, loki_queries, metric_data, stored_objects
from loki_shipper.audit.model import NotRead
from loki_shipper.audit.run import AuditCalls
from loki_shipper.environment import SettingsError
from loki_shipper.settings import settings as shipper_settings
from loki_shipper.shipper.aws import fetch_secret
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.subscriber.run.dependencies import read_memory
from loki_shipper.subscriber.run.reconcile import current_selection
from loki_shipper.subscriber.self_audit import audit_settings, self_audit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loki_shipper.audit.calls import CallAws
    from loki_shipper.audit.loki import LokiQueries
    from loki_shipper.subscriber.clients import SubscriberClients
    from loki_shipper.subscriber.run.dependencies import SubscriberDependencies
    from loki_shipper.subscriber.self_audit import AuditReport, AuditSettings


def audit_stack(
    environ: Mapping[str, str],
    deps: SubscriberDependencies,
    clients: SubscriberClients,
    cloudwatch: Any,
    pace: CallAws,
) -> AuditReport | None:
    """Audit the stack; None if it is a member of a hub, which has the shipper.

    `cloudwatch` is boto3's client. Raises SettingsError, AwsError.
    """
    configured = deps.settings
    if configured.shipper_arn is None:
        return None
    own = audit_settings(environ)
    memory = read_memory(deps)
    calls = AuditCalls(
        metric_data(cloudwatch, pace),
        insights(clients.logs, pace, deps.clock.sleep),
        NotRead("there is none")
        if configured.bucket is None
        else stored_objects(clients.s3, configured.bucket, pace),
        _loki(environ, own, deps),
        own.function_logs,
        None if configured.link_mode == "account" else configured.filter_name,
        configured.origin.account,
    )
    return self_audit(
        memory,
        current_selection(configured, memory),
        {} if configured.tenant_tag is None else deps.aws.all_tags().groups,
        calls,
        deps.clock.now(),
    )


def _loki(
    environ: Mapping[str, str], own: AuditSettings, deps: SubscriberDependencies
) -> LokiQueries | NotRead:
    """Give the queries of Loki, if a parameter names a Loki or credentials for them."""
    if own.loki_read_url is None and own.loki_read_secret is None:
        return NotRead("not read: set LokiReadSecret or LokiReadUrl")
    try:
        shipper = shipper_settings(environ)
        url = own.loki_read_url or shipper.loki_url
        reading = replace(shipper, loki_url=url, loki_secret=own.loki_read_secret)
        access = credentials(reading, fetch_secret)
    except SettingsError as error:
        return NotRead(f"not read: {error}")
    clock = deps.clock
    return loki_queries(access, shipper, deps.settings.origin, now=clock.now(), sleep=clock.sleep)
