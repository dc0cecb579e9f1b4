"""Prints an audit as text: one line for each log group, and one for each further difference."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.text import Text

from loki_shipper.audit.model import Difference, DifferenceKind, GroupAudit, Window
from loki_shipper.cli.formatting import count_text, time_text

_TITLES = ("log group", "CloudWatch", "forwarded", "shipper", "dropped", "Loki", "result")
_MOST = 60
"""Log groups that are all shown. Of more, only those that differ are."""

_KINDS: Final[tuple[DifferenceKind, ...]] = ("missing", "rejected", "waiting")
_AGREES = "agrees"
_NOTHING = "nothing to compare"
_HOUR_MS = 3_600_000
_NOT_READ = "not read"


def audit_text(audits: Sequence[GroupAudit], window: Window, *, every: bool) -> Iterator[Text]:
    """Return the lines to print; `every`: show also log groups that agree, however many."""
    yield Text(f"{_hour(window.start)} to {_hour(window.end)} UTC", style="dim")
    shown = [each for each in audits if every or len(audits) <= _MOST or not each.agrees]
    rows = [_TITLES, *(row for each in shown for row in _rows(each))]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_TITLES) - 1)]
    for number, row in enumerate(rows):
        name, *counts, text = row
        cells = [f"{name:<{widths[0]}}"]
        cells += [f"{value:>{width}}" for value, width in zip(counts, widths[1:], strict=True)]
        style = "bold" if number == 0 else "" if text in {_AGREES, _NOTHING} else "yellow"
        yield Text("  ".join([*cells, text]).rstrip(), style=style)
    yield from _notes(audits)
    yield Text(_summary(audits))


def _rows(audit: GroupAudit) -> Iterator[tuple[str, ...]]:
    blank = ("",) * (len(_TITLES) - 1)
    if _is_young(audit):
        yield (audit.name, *("-",) * (len(_TITLES) - 2), _NOTHING)
        return
    agrees = _AGREES if audit.is_compared else "not compared"
    texts = [_difference(each, audit) for each in audit.differences] or [agrees]
    dropped = sum(audit.dropped.values())
    numbers = (audit.incoming, audit.forwarded, audit.received, dropped, audit.loki)
    yield (
        audit.name,
        *(_NOT_READ if number is None else f"{number:,}" for number in numbers),
        texts[0],
    )
    for text in texts[1:]:
        yield (*blank, text)
    for rule, lines in sorted(audit.dropped.items()):
        yield (*blank, f"(dropped by {rule}: {count_text(lines, 'line')})")


def _is_young(audit: GroupAudit) -> bool:
    """Tell whether a log group was linked in no whole hour of the audit."""
    return audit.is_compared and audit.incoming is None


def _difference(each: Difference, audit: GroupAudit) -> str:
    of = "" if audit.incoming is None else f" of {audit.incoming:,}"
    noun = "line" if each.lines == 1 and not of else "lines"
    hours = "" if each.first is None else f" ({_span(each)})"
    return f"{each.kind}: {each.lines:,}{of} {noun}: {each.place}{hours}"


def _span(each: Difference) -> str:
    assert each.first is not None
    assert each.last is not None
    return f"{_hour(each.first)} to {_hour(each.last + 1)}"


def _notes(audits: Iterable[GroupAudit]) -> Iterator[Text]:
    """Return each note once, with the number of log groups that it is about."""
    counts = Counter(note for each in audits for note in each.notes)
    for note, groups in counts.items():
        yield Text(f"note: {note} ({count_text(groups, 'log group')})", style="dim")


def _summary(audits: Sequence[GroupAudit]) -> str:
    young = sum(_is_young(each) for each in audits)
    agree = sum(each.agrees for each in audits) - young
    lines = sum(each.incoming or 0 for each in audits)
    sums = {kind: sum(each.lines(kind) for each in audits) for kind in _KINDS}
    return ", ".join(
        [
            f"{agree:,} of {count_text(len(audits), 'log group agrees', 'log groups agree')}",
            count_text(lines, "line"),
            *(f"{number:,} {kind}" for kind, number in sums.items() if number),
            *([f"{_NOTHING} in {count_text(young, 'log group')}"] if young else ()),
        ]
    )


def _hour(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%d %H:%M}"


def as_object(audit: GroupAudit) -> dict[str, Any]:
    """Return an audit as an object of JSON (docs/json.md)."""
    return {
        "log_group": audit.name,
        "agrees": audit.agrees,
        "incoming": audit.incoming,
        "forwarded": audit.forwarded,
        "received": audit.received,
        "delivered": audit.delivered,
        "dropped": dict(audit.dropped),
        "expected": audit.expected,
        "loki": audit.loki,
        "differences": [
            {
                "kind": each.kind,
                "lines": each.lines,
                "place": each.place,
                "from": None if each.first is None else time_text(each.first * _HOUR_MS),
                "until": None if each.last is None else time_text((each.last + 1) * _HOUR_MS),
            }
            for each in audit.differences
        ],
        "notes": list(audit.notes),
    }
