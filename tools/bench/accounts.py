"""Fills the table of three accounts in `docs/cost.md`: figures of the benchmark, and sums."""

import re

from tools.bench.cost import per_gb, price
from tools.bench.measure import OURS, Measured, Warm

_TABLE = re.compile(r"(?<=<!-- accounts -->\n).*?(?=<!-- /accounts -->)", re.DOTALL)
_SUMS = ("total", "a GB", "a GB, without alarms")


def accounts(document: str, measured: Measured) -> str:
    """Return the document with the accounts' dollars for Lambda and its log, and the sums."""
    return _TABLE.sub(lambda found: _filled(found[0], measured), document)


def nearest(events: int, measured: Measured) -> Warm:
    """Return the figures of this number of log events, or of the next larger one."""
    return measured.warm[min(size for size in measured.warm if size >= events)][OURS]


def _filled(table: str, measured: Measured) -> str:
    lines = table.splitlines()
    rows = {cells[0].strip("*"): cells[1:] for cells in map(_cells, lines[2:])}
    gbs, sizes = ([float(cell.replace(",", "")) for cell in [*rows.values()][at]] for at in (0, 1))
    for name, dollars in (("Lambda", _function), ("the shipper's own log", _log)):
        rows[name] = [
            f"{dollars(int(events), measured) * gb:,.2f}"
            for gb, events in zip(gbs, sizes, strict=True)
        ]
    paid = [name for name in [*rows][3:] if name not in _SUMS]
    unalarmed = [name for name in paid if not name.startswith("alarms")]
    rows["total"] = [f"**{_sum(rows, paid, at):,.2f}**" for at in range(len(gbs))]
    rows["a GB"] = [f"**{_sum(rows, paid, at) / gb:,.2f}**" for at, gb in enumerate(gbs)]
    rows["a GB, without alarms"] = [
        f"{_sum(rows, unalarmed, at) / gb:,.2f}" for at, gb in enumerate(gbs)
    ]
    written = [
        f"| {' | '.join([_cells(line)[0], *rows[_cells(line)[0].strip('*')]])} |"
        for line in lines[2:]
    ]
    return "\n".join([*lines[:2], *written, ""])


def _function(events: int, measured: Measured) -> float:
    return per_gb(price(nearest(events, measured)).function, events)


def _log(events: int, measured: Measured) -> float:
    return per_gb(price(nearest(events, measured)).log, events)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line[1:-1].split("|")]


def _sum(rows: dict[str, list[str]], names: list[str], at: int) -> float:
    return sum(float(rows[name][at].replace(",", "")) for name in names)
