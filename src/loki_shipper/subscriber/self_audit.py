"""Audits the stack's own deliveries each day, for at most 1,000 log groups."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Struct
from msgspec.structs import asdict

from loki_shipper.audit.model import AuditedGroup, GroupAudit, NotRead
from loki_shipper.audit.own_log import FunctionLogs
from loki_shipper.audit.run import AuditCalls, audit, audit_window
from loki_shipper.environment import Setting, declared, read
from loki_shipper.settings import LOKI_READ_SECRET, LOKI_READ_URL
from loki_shipper.subscriber.groups.select import Selection
from loki_shipper.subscriber.memory import Memory
from loki_shipper.subscriber.model import LogGroup, ObservedGroup
from loki_shipper.subscriber.run.audited_groups import audited_groups
from loki_shipper.subscriber.settings import LIST

HOURS: Final = 24
HOURS_AGO: Final = 7
"""The audit ends when no event of its time can be in Lambda's queue any more (audit/compare.py)."""

_MOST_GROUPS: Final = 1_000
"""Log groups of one audit: two metrics of each a day are $0.60 a month."""

_MOST_NAMED: Final = 100
_DAY_MS: Final = 86_400_000


class AuditSettings(Struct, frozen=True, kw_only=True):
    """The settings of the daily audit, beside those of the shipper for Loki and its labels."""

    shipper_logs: Annotated[
        tuple[str, ...], Setting(LIST, "Log groups of the functions that ship, for the audit.")
    ] = ()
    redriver_logs: Annotated[
        tuple[str, ...], Setting(LIST, "Log group of the redriver, for the audit.")
    ] = ()
    loki_read_url: Annotated[str | None, LOKI_READ_URL] = None
    loki_read_secret: Annotated[str | None, LOKI_READ_SECRET] = None

    @property
    def function_logs(self) -> FunctionLogs:
        """The log groups that have counts."""
        return FunctionLogs(self.shipper_logs, self.redriver_logs)


def audit_variables() -> dict[str, Setting]:
    """Return the settings that only the audit reads, by the names of their variables."""
    return declared(AuditSettings)


def audit_settings(environ: Mapping[str, str]) -> AuditSettings:
    """Return the settings of the audit in an environment. Raises SettingsError."""
    return read(AuditSettings, environ)


class AuditReport(Struct, frozen=True, kw_only=True):
    """The result of a daily audit: numbers of log groups and lines, and the first differences.

    `log_groups` are all that are linked, `audited` those of this day. `loki` is the reason why Loki
    was not read, empty if it was.
    """

    log_groups: int
    audited: int
    compared: int
    lines: int
    missing: int
    rejected: int
    waiting: int
    loki: str
    differences: list[dict[str, Any]]
    notes: list[str]


def self_audit(
    memory: Memory,
    selection: Selection,
    tags: Mapping[str, Mapping[str, str]],
    calls: AuditCalls,
    now: int,
) -> AuditReport:
    """Audit the log groups that are due; `tags` are those of each log group. Raises AwsError.

    `now` is in ms since 1970. The log groups and their filters are those that the memory has, so
    that no call reads them.
    """
    linked = [*_linked(memory, selection, tags)]
    due = groups_of_day(linked, now)
    window = audit_window(now, HOURS, hours_ago=HOURS_AGO)
    audits = audit(window, due, calls, with_reasons=False)
    return AuditReport(
        log_groups=len(linked),
        audited=len(audits),
        compared=sum(each.is_compared for each in audits),
        lines=sum(each.incoming or 0 for each in audits),
        missing=sum(each.lines("missing") for each in audits),
        rejected=sum(each.lines("rejected") for each in audits),
        waiting=sum(each.lines("waiting") for each in audits),
        loki=calls.loki.why if isinstance(calls.loki, NotRead) else "",
        differences=[*_differences(audits)][:_MOST_NAMED],
        notes=sorted({note for each in audits for note in each.notes}),
    )


def _linked(
    memory: Memory, selection: Selection, tags: Mapping[str, Mapping[str, str]]
) -> Iterator[AuditedGroup]:
    observed = [
        ObservedGroup(LogGroup(name, state.created, tags=dict(tags.get(name, {}))), state.filters)
        for name, state in sorted(memory.groups.items())
    ]
    for each in audited_groups(observed, memory, selection):
        if each.since is not None:
            yield each


def groups_of_day(groups: Sequence[AuditedGroup], now: int) -> Sequence[AuditedGroup]:
    """Choose the log groups of a day: all of them, or the next part of equal parts."""
    parts = -(-len(groups) // _MOST_GROUPS) or 1
    return groups[now // _DAY_MS % parts :: parts]


def _differences(audits: Sequence[GroupAudit]) -> Iterator[dict[str, Any]]:
    for each in audits:
        for difference in each.differences:
            yield {"log_group": each.name, **asdict(difference)}


def audit_metrics(report: AuditReport) -> Iterator[tuple[str, str, float]]:
    """Give each metric's name, CloudWatch unit and value.

    Rejected and waiting lines have metrics of their own, where they come about. `LinesMissing` has
    no value if the functions' logs could not be read, so that the alarm tells that.
    """
    if report.compared or report.missing or not report.audited:
        yield "LinesMissing", "Count", report.missing
    yield "LogGroupsAudited", "Count", report.compared
