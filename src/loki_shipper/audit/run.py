"""Reads the four counts of log groups and compares them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.audit.bucket import StoredObjectCalls, read_bucket
from loki_shipper.audit.cloudwatch import (
    HOUR_SECONDS,
    metrics_of,
    read_cloudwatch,
    read_log_bytes,
    read_refused,
)
from loki_shipper.audit.compare import compare
from loki_shipper.audit.loki import LokiQueries, queries_of, read_loki
from loki_shipper.audit.model import (
    AuditedGroup,
    BucketCounts,
    CloudWatchCounts,
    GroupAudit,
    GroupCounts,
    LoggedCount,
    LokiCounts,
    NotRead,
    OwnLog,
    Window,
)
from loki_shipper.audit.own_log import FunctionLogs, InsightsCalls, read_own_log
from loki_shipper.aws.errors import AwsError

_HOUR_MS = 3_600_000
_SETTLED_MS = 900_000
"""Time after an hour in which CloudWatch still completes its metrics and Logs Insights its index:
an estimate, as AWS gives none."""


class AuditCalls(Struct, frozen=True):
    """The effects of an audit. The calls of AWS raise AwsError.

    `filter_name` is None for an account policy. `account` is that of the log groups. `loki` is
    NotRead without credentials that may read. `rule_tenants` tells that the log groups' tenants
    include those that rules choose.
    """

    get_metric_data: Callable[..., Any]
    insights: InsightsCalls
    bucket: StoredObjectCalls | NotRead
    loki: LokiQueries | NotRead
    logs: FunctionLogs
    filter_name: str | None
    account: str
    rule_tenants: bool = False


class AuditVolume(Struct, frozen=True):
    """What an audit will read: metrics, bytes of the own log, and queries of Loki."""

    metrics: int
    log_bytes: int
    loki_queries: int


def audit_window(now: int, hours: int, *, hours_ago: int = 0) -> Window:
    """Give the last whole hours; `now` is in ms since 1970.

    The window ends `hours_ago` hours before the last one that is complete.
    """
    end = (now - _SETTLED_MS) // _HOUR_MS - hours_ago
    return Window(end - hours, end, now // _HOUR_MS)


def estimate(window: Window, groups: Sequence[AuditedGroup], calls: AuditCalls) -> AuditVolume:
    """Estimate what an audit reads. Raises AwsError."""
    logs = (*calls.logs.shippers, *calls.logs.redrivers)
    tenants = len({tenant for each in groups for tenant in each.tenants})
    of_loki = 0
    if isinstance(calls.loki, LokiQueries):
        of_loki = queries_of(len(groups), len(window.hours), tenants)
    return AuditVolume(
        metrics_of(len(groups), by_policy=calls.filter_name is None) + len(logs),
        read_log_bytes(logs, window, calls.get_metric_data),
        of_loki,
    )


def audit(
    window: Window, groups: Sequence[AuditedGroup], calls: AuditCalls, *, with_reasons: bool
) -> list[GroupAudit]:
    """Audit log groups. A source that AWS or Loki denies is named in the notes.

    `with_reasons`: read also why lines were not delivered. Raises AwsError if CloudWatch's metrics
    cannot be read.
    """
    if not groups:
        return []
    counted = read_cloudwatch(
        [each.name for each in groups], window, calls.filter_name, calls.get_metric_data
    )
    # In this order, so that no line that the redriver ships meanwhile is missing in both.
    bucket = _bucket(window, calls)
    own_log = _own_log(window, calls, with_reasons=with_reasons)
    loki = _loki(window, groups, calls, own_log, counted)
    found = {
        each.name: GroupCounts(
            counted[each.name],
            _of_group(own_log, each.name),
            bucket if isinstance(bucket, NotRead) else _stored(bucket, each.name),
            loki if isinstance(loki, NotRead) else loki[each.name],
        )
        for each in groups
    }
    audits = [compare(window, each, found[each.name]) for each in groups]
    if calls.filter_name is None:
        return audits
    lost = [each.name for each in audits if each.lines("missing")]
    refused = read_refused(lost, window, calls.filter_name, calls.get_metric_data)
    return [
        compare(window, group, _with_refused(found[group.name], refused[group.name]))
        if refused.get(group.name)
        else each
        for group, each in zip(groups, audits, strict=True)
    ]


type _Logs = dict[str, OwnLog]
type _Stored = tuple[dict[str, BucketCounts], bool]


def _own_log(window: Window, calls: AuditCalls, *, with_reasons: bool) -> _Logs | NotRead:
    try:
        return read_own_log(
            calls.logs, calls.account, window, calls.insights, with_reasons=with_reasons
        )
    except AwsError as error:
        return NotRead(f"its log cannot be read ({error.code})")


def _of_group(own_log: _Logs | NotRead, name: str) -> OwnLog | NotRead:
    if isinstance(own_log, NotRead):
        return own_log
    return own_log.get(name) or own_log[""]


def _bucket(window: Window, calls: AuditCalls) -> _Stored | NotRead:
    if isinstance(calls.bucket, NotRead):
        return calls.bucket
    try:
        return read_bucket(
            calls.bucket, calls.account, datetime.fromtimestamp(window.start * HOUR_SECONDS, UTC)
        )
    except AwsError as error:
        return NotRead(f"it cannot be read ({error.code})")


def _stored(bucket: _Stored, name: str) -> BucketCounts:
    counts, is_complete = bucket
    return counts.get(name, BucketCounts(is_complete=is_complete))


def _loki(
    window: Window,
    groups: Sequence[AuditedGroup],
    calls: AuditCalls,
    own_log: _Logs | NotRead,
    counted: Mapping[str, CloudWatchCounts],
) -> dict[str, LokiCounts] | NotRead:
    if isinstance(calls.loki, NotRead):
        return calls.loki
    if isinstance(own_log, NotRead):
        return NotRead("the shipper's counts are missing")
    expected: dict[str, Mapping[int, int]] = {}
    skipped: defaultdict[str, frozenset[int]] = defaultdict(frozenset)
    for each in groups:
        # Somebody may have shipped lines from another machine, which no log has.
        taken_in = counted[each.name].incoming
        entries = Counter({hour: 0 for hour in window.hours if taken_in.get(hour)})
        elsewhere = set[int]()
        for count in _of_logs(own_log, each.name):
            if count.hour in window.hours:
                entries[count.hour] += count.entries
                elsewhere |= {count.hour} if count.elsewhere and not calls.rule_tenants else set()
        expected[each.name] = entries
        skipped[each.name] = frozenset(elsewhere)
    return read_loki(groups, expected, calls.loki, skipped=skipped)


def _of_logs(own_log: _Logs, name: str) -> Sequence[LoggedCount]:
    return own_log[name].counts if name in own_log else ()


def _with_refused(sources: GroupCounts, refused: int) -> GroupCounts:
    assert not isinstance(sources.cloudwatch, NotRead)
    return replace(sources, cloudwatch=replace(sources.cloudwatch, refused=refused))
