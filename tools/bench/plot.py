"""Draws the benchmark as an SVG: warm invocations and init."""

from collections.abc import Iterator
from typing import Final

from tools.bench.measure import EMPTY, OURS, THEIRS, Measured

_COLOURS: Final = {EMPTY: "#9aa5b1", THEIRS: "#00add8", OURS: "#f2752e"}
_SIZES: Final = (1, 100, 1_000, 10_000)
_WIDTH, _LEFT, _BAR, _GAP = 760, 150, 18, 26
_TEXT = 'font-family="system-ui, sans-serif" font-size="13" fill="#52606d"'


def plot(measured: Measured) -> str:
    """Return bars of milliseconds; each group of bars has its own scale."""
    groups = [
        (f"{events:,} event{'s' * (events > 1)}", _warm(measured, events)) for events in _SIZES
    ]
    groups.append(("init", {name: measured.cold[name].init for name in _names(measured)}))
    height = 60 + sum(len(bars) * _BAR + _GAP for _, bars in groups)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            "<title>Milliseconds of one invocation: less is better</title>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *_legend(_names(measured)),
            *_groups(groups),
            "</svg>",
            "",
        ]
    )


def _names(measured: Measured) -> list[str]:
    return [name for name in _COLOURS if name in measured.cold]


def _warm(measured: Measured, events: int) -> dict[str, float]:
    return {name: measured.warm[events][name].median for name in _names(measured)}


def _legend(names: list[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        x = _LEFT + number * 160
        yield f'<rect x="{x}" y="14" width="12" height="12" fill="{_COLOURS[name]}"/>'
        yield f'<text x="{x + 18}" y="25" {_TEXT}>{name}</text>'


def _groups(groups: list[tuple[str, dict[str, float]]]) -> Iterator[str]:
    y = 50
    for title, bars in groups:
        longest = max(bars.values())
        middle = y + len(bars) * _BAR / 2 + 4
        yield f'<text x="{_LEFT - 12}" y="{middle:.0f}" text-anchor="end" {_TEXT}>{title}</text>'
        for name, value in bars.items():
            width = value / longest * (_WIDTH - _LEFT - 110)
            place = f'x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 3}"'
            yield f'<rect {place} fill="{_COLOURS[name]}"/>'
            x, base = _LEFT + width + 8, y + 12
            yield f'<text x="{x:.1f}" y="{base}" {_TEXT}>{value * 1000:.3g} ms</text>'
            y += _BAR
        y += _GAP
