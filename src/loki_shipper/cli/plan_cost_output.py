"""Prints `plan --cost`: what shipping each log group costs a month, and what rules would save."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from msgspec import to_builtins
from rich.text import Text

from loki_shipper import prices
from loki_shipper.cli.formatting import count_text
from loki_shipper.cli.plan_cost import DEAREST, CostReport, GroupCost
from loki_shipper.cli.try_rules import Saving
from loki_shipper.deployment.cost import ShippingCost
from loki_shipper.deployment.volumes import DAYS, total_volume

_TITLES: Final = (
    "log group",
    "lines/day",
    "taken/day",
    "to Loki/day",
    "streams/day",
    "Lambda",
    "own log",
    "transfer",
    "$/month",
)
_UNKNOWN: Final = "-"
_UNITS: Final = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def cost_text(report: CostReport) -> Iterator[Text]:
    """Return the lines to print: the dearest log groups, their savings, and all together."""
    shown = report.groups[:DEAREST]
    cells = [_TITLES, *map(_cells, shown)]
    if len(report.groups) > len(shown):
        rest = report.groups[len(shown) :]
        cells.append(_sum(f"{len(rest):,} more", rest))
    cells.append(_sum(f"all {count_text(len(report.groups), 'log group')}", report.groups))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for place, row in enumerate(cells):
        yield Text(_aligned(row, widths), style="" if place else "bold")
    for group in shown:
        for saving in group.sampled.savings if group.sampled else ():
            yield Text(f"{group.log_group}: {_saving(saving)}")
    yield from (Text(note, style="dim") for note in _notes(report))


def _cells(row: GroupCost) -> tuple[str, ...]:
    return (
        row.log_group,
        f"{_a_day(row.volume.events):,}",
        _size(_a_day(row.volume.taken_bytes)),
        _UNKNOWN if row.sampled is None else _size(_loki_bytes(row)),
        _UNKNOWN if row.streams_a_day is None else f"{row.streams_a_day:,}",
        *_dollars(row.cost),
    )


def _sum(title: str, rows: list[GroupCost]) -> tuple[str, ...]:
    volume = total_volume(row.volume for row in rows)
    return (
        title,
        f"{_a_day(volume.events):,}",
        _size(_a_day(volume.taken_bytes)),
        _UNKNOWN,
        _UNKNOWN,
        *_dollars(_total(row.cost for row in rows)),
    )


def _total(costs: Iterable[ShippingCost]) -> ShippingCost:
    listed = [*costs]
    return ShippingCost(
        sum(each.functions for each in listed),
        sum(each.own_log for each in listed),
        sum(each.transfer for each in listed),
    )


def _dollars(cost: ShippingCost) -> Iterator[str]:
    for each in (cost.functions, cost.own_log, cost.transfer, cost.total):
        yield f"{each:,.2f}"


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers = (
        f"{cell:>{width}}" if place else f"{cell:<{width}}"
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join((name, *numbers))


def _saving(saving: Saving) -> str:
    pattern = saving.pattern_dollars
    by_pattern = "" if pattern is None else f", a filter pattern at most ${pattern:,.2f}"
    return (
        f"{saving.what} are {saving.lines_percent} % of the lines and {saving.bytes_percent} % of "
        f"Loki's bytes: a rule that drops them saves ${saving.rule_dollars:,.2f} a month"
        f"{by_pattern}"
    )


def _notes(report: CostReport) -> Iterator[str]:
    source = f"as in the last {DAYS} days" if report.measured else "an assumption"
    yield f"An invocation has {report.size.events:,.0f} log events: {source}."
    if patterns := sum(bool(row.pattern) for row in report.groups):
        yield (
            f"The filter patterns of {count_text(patterns, 'log group')} do not count: with them, "
            "shipping costs less than this."
        )
    days = sorted({price.as_of for price in prices.ALL})
    yield (
        f"List prices of us-east-1, read from {days[0]} to {days[-1]}, with a Loki on the "
        "internet. Metrics, alarms and the dashboard are not included (docs/cost.md)."
    )


def cost_objects(report: CostReport) -> Iterator[dict[str, Any]]:
    """Return each log group's JSON object, the dearest first; dollars are those of a month."""
    for row in report.groups:
        sampled, cost = row.sampled, row.cost
        yield {
            "log_group": row.log_group,
            "pattern": row.pattern,
            "lines_a_day": _a_day(row.volume.events),
            "bytes_a_day": _a_day(row.volume.taken_bytes),
            "loki_bytes_a_day": None if sampled is None else _loki_bytes(row),
            "streams_a_day": row.streams_a_day,
            "lambda_dollars": _rounded(cost.functions),
            "own_log_dollars": _rounded(cost.own_log),
            "transfer_dollars": _rounded(cost.transfer),
            "dollars": _rounded(cost.total),
            "savings": None if sampled is None else [*map(_saving_object, sampled.savings)],
        }


def _saving_object(saving: Saving) -> dict[str, Any]:
    pattern = saving.pattern_dollars
    return {
        **to_builtins(saving),
        "rule_dollars": _rounded(saving.rule_dollars),
        "pattern_dollars": None if pattern is None else _rounded(pattern),
    }


def _rounded(dollars: float) -> float:
    return round(dollars, 4)


def _a_day(of_all_days: float) -> int:
    return round(of_all_days / DAYS)


def _loki_bytes(row: GroupCost) -> int:
    share = 1.0 if row.sampled is None else row.sampled.loki_share
    return round(row.volume.taken_bytes / DAYS * share)


def _size(of_bytes: int) -> str:
    for unit, name in _UNITS:
        if of_bytes >= unit:
            return f"{of_bytes / unit:,.1f} {name}"
    return f"{of_bytes} B"
