"""Compares the four counts of a log group, and names the place of each line that is not in Loki."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.audit.lag import unmatched
from loki_shipper.audit.model import (
    FORWARD_HOURS,
    REJECTED,
    AuditedGroup,
    BucketCounts,
    CloudWatchCounts,
    Difference,
    DifferenceKind,
    GroupAudit,
    GroupCounts,
    LokiCounts,
    NotRead,
    OwnLog,
    Window,
)
from loki_shipper.audit.sums import (
    by_hour,
    dropped_by_rule,
    entries_by_hour,
    lines_within,
    logged_by,
    reasons_of,
    sum_of,
)

QUEUE_HOURS = 7
"""Lambda keeps an event for six hours (`MaximumEventAgeInSeconds`); then it is in the bucket."""

_UNREPORTED = (
    "sent to the shipper, but neither reported by it nor in aws/lambda/: an object was deleted, or "
    "Lambda lost an event"
)
_DELETED = "gone from the bucket: an object was deleted or has expired"

_HIDDEN_HOURS = 3
_OLD_HOURS = 2
"""Loki may not show lines that arrived in the last three hours and are more than two hours old,
before it flushes their chunk."""


def compare(window: Window, group: AuditedGroup, sources: GroupCounts) -> GroupAudit:
    """Compare the counts of one log group."""
    audit = GroupAudit(name=group.name)
    if isinstance(sources.cloudwatch, NotRead):
        note = f"CloudWatch: {sources.cloudwatch.why}"
        return replace(audit, is_compared=False, notes=(note,))
    linked = _first_whole_hour(window, group, sources.cloudwatch)
    if linked >= window.end:
        return replace(audit, notes=("there is no whole hour in which it was linked",))
    window = replace(window, start=linked)
    parts = [_forwarding(window, group, sources.cloudwatch)]
    parts += _shipping(window, group, sources)
    return _summed(audit, parts, window, sources)


class _Part(Struct, frozen=True):
    """The result of one comparison."""

    differences: Sequence[Difference] = ()
    notes: tuple[str, ...] = ()


def _summed(
    audit: GroupAudit, parts: Iterable[_Part], window: Window, sources: GroupCounts
) -> GroupAudit:
    parts = [*parts]
    cloudwatch, own_log, loki = sources.cloudwatch, sources.own_log, sources.loki
    assert isinstance(cloudwatch, CloudWatchCounts)
    logged = [] if isinstance(own_log, NotRead) else logged_by(own_log, "shipper", window.hours)
    is_logged = isinstance(own_log, OwnLog) and own_log.counts_from is not None
    incoming = lines_within(cloudwatch.incoming, window)
    return replace(
        audit,
        is_compared=is_logged or not incoming,
        incoming=incoming,
        forwarded=(
            None if cloudwatch.forwarded is None else lines_within(cloudwatch.forwarded, window)
        ),
        received=sum_of(logged, "received") if is_logged else None,
        delivered=sum_of(logged, "delivered") if is_logged else None,
        dropped=dropped_by_rule(logged, own_log),
        expected=sum(entries_by_hour(own_log, window).values())
        if isinstance(own_log, OwnLog)
        else None,
        loki=None if isinstance(loki, NotRead) else lines_within(loki.lines, window),
        differences=tuple(each for part in parts for each in part.differences),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _first_whole_hour(window: Window, group: AuditedGroup, counts: CloudWatchCounts) -> int:
    """Give the first hour of the window in which the filter delivered from the beginning.

    A filter that was put again is younger than its deliveries.
    """
    sent = (counts.forwarded or {}).items()
    forwarded = [hour for hour, lines in sent if lines and hour > group.created]
    linked = min([*forwarded, *(() if group.since is None else (group.since,))], default=None)
    if linked is None:
        return window.end
    return window.start if linked < window.start else linked + 1


def _forwarding(window: Window, group: AuditedGroup, counts: CloudWatchCounts) -> _Part:
    """Compare what CloudWatch Logs took in with what it forwarded."""
    if counts.forwarded is None:
        return _Part()
    if group.pattern:
        return _Part(notes=("the filter has a pattern, so lines that it leaves out are no loss",))
    lost = unmatched(counts.incoming, counts.forwarded, window, FORWARD_HOURS)
    refused = f" ({counts.refused:,} refused deliveries)" if counts.refused else ""
    place = f"not forwarded by CloudWatch Logs{refused}: was the filter there?"
    # The metrics of the last hour may not be complete.
    old = {hour: lines for hour, lines in lost.items() if hour < window.now - 1}
    young = {hour: lines for hour, lines in lost.items() if hour not in old}
    return _Part(
        [
            *_difference("missing", place, old),
            *_difference("waiting", "not forwarded by CloudWatch Logs yet", young),
        ]
    )


def _shipping(window: Window, group: AuditedGroup, sources: GroupCounts) -> Iterator[_Part]:
    cloudwatch, own_log = sources.cloudwatch, sources.own_log
    assert isinstance(cloudwatch, CloudWatchCounts)
    match own_log:
        case NotRead(why=why):
            yield _Part(notes=(f"the shipper: {why}",))
            return
        case OwnLog(counts_from=None):
            yield _Part(notes=("the shipper has logged no counts in these hours",))
            return
    assert own_log.counts_from is not None
    sent = cloudwatch.forwarded
    if sent is None and not group.pattern:
        sent = cloudwatch.incoming
    counted = window
    if own_log.counts_from > window.start:
        counted = replace(window, start=min(window.end, own_log.counts_from + 1))
        yield _Part(notes=("the shipper's log has counts of a part of these hours only",))
    in_loki = _Loki(counted, own_log, sources.loki, _repeated(counted, sent, own_log))
    yield in_loki.part()
    bucket = _Bucket(window, own_log, sources.bucket)
    yield bucket.part()
    yield _unsettled(counted, sent, own_log, bucket, in_loki.surplus)


def _repeated(window: Window, sent: Mapping[int, int] | None, own_log: OwnLog) -> int:
    """Count the lines that the shipper received more often than CloudWatch Logs sent them.

    They came twice, or were read back, as first lines are.
    """
    if sent is None:
        return 0
    hours = range(window.start - 1, window.now + 1)
    received = sum_of(logged_by(own_log, "shipper", hours), "received")
    return max(0, received - sum(sent.get(hour, 0) for hour in hours))


class _Bucket:
    """The lines that went to the bucket, and what became of them."""

    def __init__(self, window: Window, own_log: OwnLog, counts: BucketCounts | NotRead) -> None:
        since = range(window.start, window.now + 1)
        self.is_read = isinstance(counts, BucketCounts) and counts.is_complete
        self._counts = counts if isinstance(counts, BucketCounts) else BucketCounts()
        self._why = counts.why if isinstance(counts, NotRead) else "it has too many objects"
        shipper, redriver = (
            logged_by(own_log, "shipper", since),
            logged_by(own_log, "redriver", since),
        )
        self.saved = sum_of(shipper, "saved")
        # Lines that failed just before the window cannot be told from those of its first hours.
        first = window.start - 1 - QUEUE_HOURS
        recent = [each for each in redriver if each.hour >= first]
        older = [each for each in redriver if each.hour < first]
        saved_old = sum_of([each for each in shipper if each.hour < first], "saved")
        taken = sum_of(recent, "delivered", "dropped", "rejected")
        self._redriven = taken + min(saved_old, sum_of(older, "delivered", "dropped", "rejected"))
        in_window = logged_by(own_log, "shipper", window.hours)
        self._reasons = reasons_of(own_log, "rejected")
        self._rejected = sum_of(in_window, "rejected") + sum_of(redriver, "rejected")
        self._stored_rejected = Counter[str]()
        self._waiting = Counter[tuple[str, str]]()
        for each in self._counts.stored:
            if each.folder == REJECTED:
                self._stored_rejected[each.reason] += each.lines
            else:
                self._waiting[each.folder, each.reason] += each.lines

    @property
    def explained(self) -> int:
        """Count the lines that are in the bucket still, or that the redriver took out of it."""
        set_aside = max(0, self._stored_rejected.total() - self._rejected)
        return self._redriven + self._waiting.total() + set_aside

    def part(self) -> _Part:
        """Give the lines in the bucket."""
        waiting = [
            Difference("waiting", lines, ", ".join(filter(None, (f"in {folder}", reason))))
            for (folder, reason), lines in sorted(self._waiting.items())
        ]
        notes = () if self.is_read else (f"the bucket: {self._why}",)
        return _Part([*self._refused(), *waiting], notes)

    def _refused(self) -> Iterator[Difference]:
        stored = self._stored_rejected
        left = max(0, self._rejected - stored.total())
        for reason, lines in sorted(stored.items()):
            yield Difference("rejected", lines, f"in {REJECTED}, {reason}")
        if not left:
            return
        reasons = Counter(self._reasons) - stored
        why = ", ".join(sorted(reasons)) or "for a reason in the shipper's log"
        gone = "no longer in" if self.is_read else "perhaps in"
        yield Difference("rejected", left, f"rejected ({why}), {gone} {REJECTED}")


def _unsettled(
    window: Window,
    sent: Mapping[int, int] | None,
    own_log: OwnLog,
    bucket: _Bucket,
    surplus: int,
) -> _Part:
    """Find the lines that were sent to the shipper, or saved, and are in no other place.

    `surplus` are lines that Loki holds beyond those that the functions logged: somebody has shipped
    them from another machine.
    """
    unreported: dict[int, int] = {}
    if sent is not None:
        received = by_hour(logged_by(own_log, "shipper", range(window.start - 1, window.now + 1)))
        unreported = unmatched(sent, received, window, QUEUE_HOURS)
    young = {h: lines for h, lines in unreported.items() if h > window.now - QUEUE_HOURS}
    left = sum(unreported.values()) + bucket.saved - bucket.explained - surplus - own_log.unnamed
    if left <= 0:
        return _Part()
    if not bucket.is_read:
        return _Part(notes=(f"{left:,} lines should be in the bucket",))
    queued = min(left, sum(young.values()))
    deleted = min(left - queued, bucket.saved)
    lost = left - queued - deleted
    old = {hour: lines for hour, lines in unreported.items() if hour not in young}
    differences = [
        Difference("waiting", queued, "in Lambda's queue, or being shipped", *_span(young)),
        Difference("missing", deleted, _DELETED),
        Difference(
            "missing",
            lost,
            _UNREPORTED,
            *_span(old),
        ),
    ]
    return _Part([each for each in differences if each.lines])


class _Loki:
    """The entries that the functions delivered, and those that Loki holds."""

    def __init__(
        self, window: Window, own_log: OwnLog, counts: LokiCounts | NotRead, repeated: int
    ) -> None:
        self._counts = counts
        self._window = window
        self._expected = entries_by_hour(own_log, window)
        self._repeated = repeated
        self._hidden = sum(
            each.entries
            for each in own_log.counts
            if each.at >= window.now - _HIDDEN_HOURS
            and each.hour <= each.at - _OLD_HOURS
            and each.hour in window.hours
        )
        self.surplus = 0
        self._lost: dict[int, int] = {}
        if isinstance(counts, LokiCounts):
            hours = [hour for hour in window.hours if hour not in counts.not_read]
            balance = {h: self._expected.get(h, 0) - counts.lines.get(h, 0) for h in hours}
            self._lost = {hour: lines for hour, lines in balance.items() if lines > 0}
            self.surplus = -sum(lines for lines in balance.values() if lines < 0)

    def part(self) -> _Part:
        """Give the lines that Loki took and does not hold."""
        if isinstance(self._counts, NotRead):
            return _Part(notes=(f"Loki: {self._counts.why}",))
        notes = []
        if self._counts.sampled:
            hours = len(self._counts.sampled)
            notes.append(f"Loki: {hours} {'hour' if hours == 1 else 'hours'} from a sample")
        if self._counts.not_read:
            notes.append("Loki: a rule chooses the tenant of some lines; name it with --tenant")
        left = max(0, sum(self._lost.values()) - self._repeated)
        hidden = min(left, self._hidden)
        differences = [
            Difference("waiting", hidden, "in Loki, not visible yet", *_span(self._lost)),
            Difference(
                "missing", left - hidden, "accepted by Loki, and not in it", *_span(self._lost)
            ),
        ]
        return _Part([each for each in differences if each.lines], tuple(notes))


def _difference(kind: DifferenceKind, place: str, lines: Mapping[int, int]) -> Iterator[Difference]:
    if lines:
        yield Difference(kind, sum(lines.values()), place, *_span(lines))


def _span(lines: Mapping[int, int]) -> tuple[int, int] | tuple[()]:
    return (min(lines), max(lines)) if lines else ()
