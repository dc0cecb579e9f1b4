"""Prints lines of Loki for people: time, delay, stream in its own colour, and the line."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import cycle

from rich.console import Console
from rich.text import Text

from loki_shipper.cli.arrivals import Arrival
from loki_shipper.cli.looks import NS_PER_MS
from loki_shipper.settings import LATE
from loki_shipper.shipper.delivery.encode import label_set

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_magenta")
_INDENT = 23


class LinePrinter:
    """Prints lines, each with the delay and the name of its stream, in the stream's colour.

    The labels of a stream come before its first line, except the `untold`.
    """

    def __init__(self, untold: frozenset[str]) -> None:
        self._untold = untold
        self.count = 0
        self._console = Console(highlight=False, soft_wrap=True)
        self._controls = controls(on_terminal=self._console.is_terminal)
        self._colours = cycle(_COLOURS)
        self._styles: dict[str, str] = {}

    def show(self, arrivals: list[Arrival]) -> None:
        """Print lines that have arrived."""
        for arrival in sorted(arrivals, key=lambda each: each.line.timestamp):
            self.count += 1
            style = self._style(arrival.line.labels)
            self._console.print(
                Text.assemble(
                    (clock_text(arrival.line.timestamp // NS_PER_MS), "dim"),
                    f"  {delay_text(arrival.delay):>7}  ",
                    (_name(arrival.line.labels), style),
                    f"  {arrival.line.line.translate(self._controls)}",
                )
            )

    def _style(self, labels: Mapping[str, str]) -> str:
        stream = label_set(tuple(sorted(labels.items())))
        if stream not in self._styles:
            self._styles[stream] = next(self._colours)
            told = {name: value for name, value in labels.items() if name not in self._untold}
            self._console.print(_labels(told, self._styles[stream]))
        return self._styles[stream]


def _labels(labels: Mapping[str, str], style: str) -> Text:
    shown = Text()
    for pair in sorted(labels.items()):
        name, _, value = label_set((pair,))[1:-1].partition("=")
        shown.append(" " if shown else "").append(f"{name}=", "dim").append(value, style)
    return shown


def _name(labels: Mapping[str, str]) -> str:
    name = labels.get("service_name") or labels.get("log_group", "").rpartition("/")[2]
    return f"{name or 'line'} (late)" if LATE in labels else name or "line"


def controls(*, on_terminal: bool) -> dict[int, str]:
    """Say how characters are written that would steer a terminal."""
    shown = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
    newline = f"\n{' ' * _INDENT}" if on_terminal else "\\n"
    return shown | {ord("\t"): "\t", ord("\r"): "\\r", ord("\n"): newline}


def clock_text(ms: int) -> str:
    """Write the time of day of a time in ms since 1970, in UTC."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S.%f}"[:-3]


def delay_text(ms: int | None) -> str:
    """Write a delay in ms as `1.2s`, `3m20s` or `2h05m`; nothing where it is not known."""
    if ms is None:
        return ""
    seconds = ms / 1000
    minutes = ms // 60_000
    hours = minutes // 60
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{int(seconds) % 60:02}s" if minutes else f"{seconds:.1f}s"


def count_text(count: int) -> str:
    """Write a number of lines."""
    return f"{count:,} line{'' if count == 1 else 's'}"
