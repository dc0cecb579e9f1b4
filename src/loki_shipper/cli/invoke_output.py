"""Shows the result of `invoke` as text or as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.text import Text

from loki_shipper.cli.formatting import control_escapes, count_text
from loki_shipper.local.invoke import Invocation, Pushed
from loki_shipper.model import Entry, Pairs, Stream
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.encode import label_set
from loki_shipper.shipper.delivery.outcome import Report

_SECOND = 1_000_000_000
_LONGEST_BODY = 300
_INDENT = " " * 22
_ESCAPES = control_escapes(f"\n{_INDENT}")


def show(invocation: Invocation, limit: int) -> Iterator[Text]:
    """Return the lines to print, with at most `limit` entries of each push, or all for 0."""
    stream: Stream | None = None
    seen: set[tuple[int, str]] = set()
    for number, pushed in enumerate(invocation.pushes, 1):
        batch = pushed.batch
        entries = count_text(len(batch.entries), "entry", "entries")
        yield Text.assemble((f"push {number} of {len(invocation.pushes)}", "bold"), f": {entries}")
        if batch.stream != stream:
            stream = batch.stream
            yield _row("tenant", stream.tenant or "none")
            yield from _pairs("labels", stream.labels)
        fresh = {(entry.timestamp, entry.line) for entry in batch.entries} - seen
        seen |= fresh
        yield from _entries(batch.entries, limit) if fresh else [_row("entries", "as above")]
        yield _row("answer", _answer(pushed.answer))
        yield Text()
    for reason in invocation.report.undecodable:
        yield Text(f"refused: {reason}", style="yellow")
    if not invocation.report.received:
        yield Text("nothing to ship: the event carries no log events")
    yield Text(_sum(invocation.report, pushed=_is_pushed(invocation)), style="bold")


def as_object(invocation: Invocation) -> dict[str, Any]:
    """Return everything as one JSON object; `values` are as in Loki's push API."""
    report = invocation.report
    return {
        "pushes": [_push_as_object(pushed) for pushed in invocation.pushes],
        "pushed": _is_pushed(invocation),
        "received": report.received,
        "delivered": report.delivered,
        "late": report.late,
        "dropped": report.dropped,
        "rejected": report.rejected,
        "deferred": report.deferred,
        "errored": report.errored,
        "log_files": report.log_files,
    }


def _is_pushed(invocation: Invocation) -> bool:
    return any(pushed.answer is not None for pushed in invocation.pushes)


def _entries(entries: Sequence[Entry], limit: int) -> Iterator[Text]:
    common = _common(entries)
    yield from _pairs("metadata", common)
    shown = entries[:limit] if limit else entries
    for day, of_day in groupby(shown, lambda entry: _moment(entry).date()):
        yield _row("entries of", str(day))
        for entry in of_day:
            yield from _entry(entry, common)
    if len(shown) < len(entries):
        yield Text(f"  … and {len(entries) - len(shown):,} more; --limit 0 shows all", style="dim")


def _entry(entry: Entry, common: Pairs) -> Iterator[Text]:
    time = f"{_moment(entry):%H:%M:%S}.{entry.timestamp % _SECOND:09}"
    yield Text.assemble("  ", (time, "cyan"), "  ", entry.line.translate(_ESCAPES))
    if own := [pair for pair in entry.metadata if pair not in common]:
        yield Text(_INDENT + label_set(tuple(own)).translate(_ESCAPES), style="dim")


def _moment(entry: Entry) -> datetime:
    return datetime.fromtimestamp(entry.timestamp // _SECOND, UTC)


def _common(entries: Sequence[Entry]) -> Pairs:
    """Return the structured metadata that all entries have."""
    first, *others = [entry.metadata for entry in entries]
    return tuple(pair for pair in first if all(pair in other for other in others))


def _pairs(title: str, pairs: Pairs) -> Iterator[Text]:
    for place, pair in enumerate(pairs):
        yield _row("" if place else title, label_set((pair,))[1:-1].translate(_ESCAPES))


def _row(title: str, text: str) -> Text:
    return Text.assemble((f"{title:<11}", "dim"), text)


def _answer(answer: Answer | NoAnswer | None) -> str:
    match answer:
        case None:
            return "not pushed: give --loki URL to push"
        case NoAnswer(reason=reason):
            return f"none: {reason}"
        case Answer(status=status, body=body):
            text = " ".join(body.split()).translate(_ESCAPES)
            return f"{status} {text[:_LONGEST_BODY]}".rstrip()


def _sum(report: Report, *, pushed: bool) -> str:
    parts = [
        f"received {report.received:,}",
        f"{'delivered' if pushed else 'to deliver'} {report.delivered:,}",
        _by_reason("dropped", report.dropped),
        _by_reason("rejected", report.rejected),
        _by_reason("errored", report.errored),
    ]
    if report.deferred:
        parts.insert(-1, _by_reason("deferred", report.deferred))
    if report.late:
        parts.insert(2, f"late {report.late:,}")
    if report.log_files:
        parts.append(_by_reason("log files", report.log_files))
    return ", ".join(parts)


def _by_reason(title: str, counts: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()))
    return f"{title} {sum(counts.values()):,}" + (f" ({reasons})" if reasons else "")


def _push_as_object(pushed: Pushed) -> dict[str, Any]:
    stream = pushed.batch.stream
    return {
        "tenant": stream.tenant,
        "labels": dict(stream.labels),
        "values": [
            [str(entry.timestamp), entry.line, dict(entry.metadata)]
            for entry in pushed.batch.entries
        ],
        "answer": _answer_as_object(pushed.answer),
    }


def _answer_as_object(answer: Answer | NoAnswer | None) -> dict[str, Any] | None:
    match answer:
        case None:
            return None
        case NoAnswer(reason=reason):
            return {"status": None, "reason": reason, "body": ""}
        case Answer(status=status, body=body):
            return {"status": status, "reason": None, "body": body}
