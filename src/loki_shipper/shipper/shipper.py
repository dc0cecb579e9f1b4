"""Connects the pipeline to AWS and Loki, and keeps connections and caches between invocations."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import asdict

from loki_shipper.aws.arn import Origin, function_origin
from loki_shipper.emf import FunctionLog
from loki_shipper.shipper import aws
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.delivery.hourly import log_members
from loki_shipper.shipper.delivery.session import LokiSession
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags, Tags, TagSources
from loki_shipper.shipper.metrics import metrics
from loki_shipper.shipper.pipeline import ShipperDependencies, pipeline
from loki_shipper.shipper.rules.cache import RulesCache
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.sources.event import is_of_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from loki_shipper.aws.boto import AwsSession
    from loki_shipper.model import LogSource
    from loki_shipper.settings import Settings
    from loki_shipper.shipper.delivery.outcome import Report
    from loki_shipper.shipper.delivery.push import LokiAccess


_EMPTY: Final[tuple[object, ...]] = ({}, None, ())


class Shipper:
    """The shipper of one execution environment, which serves every invocation in it.

    `function_arn` has the partition, Region and account of the log groups. `connections` is the
    number of threads that may push at the same time. `aws_session` has the AWS credentials, by
    default the function's own. Raises SettingsError if a secret cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        function_arn: str,
        *,
        connections: int = 1,
        aws_session: AwsSession | None = None,
    ) -> None:
        self._settings = settings
        self._aws_session = aws_session
        self._origin = function_origin(function_arn) or Origin("aws", "", "")
        self._log = FunctionLog("loki-shipper", settings.stack, settings.log_level)
        self._tenants_without_metadata: set[str | None] = set()
        self._label_values: dict[tuple[str, str], set[str]] = {}
        self._rules_cache = RulesCache(
            settings.rules,
            partial(rules_file, session=aws_session),
            clock=time.monotonic,
            jitter=_jitter,
        )
        sources = TagSources(
            fetch_tags=partial(aws.fetch_tags, origin=self._origin, session=aws_session),
            read_index=aws.IndexReader(settings.bucket, aws_session),
        )
        self._tags = Tags(
            self._origin.account,
            self._origin.region,
            sources,
            clock=time.monotonic,
            jitter=_jitter,
        )
        self._session = LokiSession(self._access, time.monotonic, connections=connections)
        if not self._session.is_private:
            warning = "credentials travel over http, unencrypted: use an https LOKI_URL"
            self._log.write(warning, {}, level="WARNING")

    def ship(self, event: Any, remaining: Callable[[], float]) -> Report:
        """Ship an event, and write the report and its metrics to the function's log.

        `remaining` returns the seconds that are left for delivery. Raises RulesError.
        """
        session = self._session
        pushes, sent = session.pushes, session.bytes
        missing, failures = self._tags.missing, self._tags.failures
        unread = self._rules_cache.failures
        report = self.deliver(event, remaining)
        self._record(
            report,
            Pushes=session.pushes - pushes,
            BytesPushed=session.bytes - sent,
            TagsMissing=self._tags.missing - missing,
            TagFailures=self._tags.failures - failures,
            RulesUnread=self._rules_cache.failures - unread,
        )
        return report

    def deliver(self, event: Any, remaining: Callable[[], float]) -> Report:
        """Ship an event without logging. Raises RulesError."""
        deps = self.dependencies(remaining)
        if is_of_queue(event):
            # Only one of the functions gets such events. The others start faster without it.
            from loki_shipper.shipper.queue import ship_log_files

            return ship_log_files(event, deps, self._aws_session)
        return pipeline(event, deps)

    def dependencies(self, remaining: Callable[[], float]) -> ShipperDependencies:
        """Return the pipeline's dependencies for one invocation. Raises RulesError."""
        session = self._session
        session.refresh()
        delivery = DeliveryEffects(
            send=lambda batch: session.send(batch, seconds=remaining()),
            remaining=remaining,
            now=time.time_ns,
            sleep=time.sleep,
            jitter=_jitter,
            renew=session.renew,
            tenants_without_metadata=self._tenants_without_metadata,
            late_minutes=self._settings.late_stream_minutes,
        )
        bucket = self._settings.bucket
        return ShipperDependencies(
            settings=self._settings,
            rule_state=RuleState(self._rules_cache(), self._label_values),
            account=self._origin.account or None,
            region=self._origin.region,
            own_log_group=os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME"),
            tags=self._tags_of,
            delivery=delivery,
            put=(
                None
                if bucket is None
                else partial(aws.put_object, bucket, session=self._aws_session)
            ),
        )

    def _tags_of(self, source: LogSource) -> LogGroupTags:
        wanted = self._settings.tag_labels != () or self._settings.tenant_tag is not None
        return self._tags(source) if wanted else LogGroupTags({})

    def _access(self, *, fresh: bool) -> LokiAccess:
        return credentials(
            self._settings, partial(aws.fetch_secret, fresh=fresh, session=self._aws_session)
        )

    def _record(self, report: Report, **counts: int) -> None:
        all_metrics = [*metrics(report, now=time.time())]
        all_metrics += [(name, "Count", count) for name, count in counts.items()]
        is_warning = report.rejected or report.errored or report.undecodable or report.failure
        fields = {name: value for name, value in asdict(report).items() if value not in _EMPTY}
        fields.pop("hourly", None)
        if report.retry:
            fields["retry"] = len(report.retry)
        members, following = log_members(report.hourly)
        self._log.write(
            "shipped" if report.failure is None else "not shipped",
            fields,
            all_metrics,
            counts=members,
            level="WARNING" if is_warning else "INFO",
        )
        for each in following:
            self._log.write("counted", {}, counts=each)


def _jitter(longest: float) -> float:
    return random.uniform(0, longest)  # noqa: S311 - it spreads load and keeps no secret
