"""Prints lines of Loki for people: time, delay, stream in its own colour, and the line."""

from collections.abc import Mapping
from itertools import cycle

from rich.text import Text

from loki_shipper.cli.arrivals import Arrival
from loki_shipper.cli.console import line_console
from loki_shipper.cli.formatting import NS_PER_MS, clock_text, control_escapes, delay_text
from loki_shipper.loki_names import LATE
from loki_shipper.shipper.delivery.encode import label_set

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_magenta")
_INDENT = 23


class LinePrinter:
    """Prints lines, each with its delay and the name of its stream, in the stream's colour.

    The labels of a stream come before its first line, except the `hidden_labels`.
    """

    def __init__(self, hidden_labels: frozenset[str]) -> None:
        self._hidden = hidden_labels
        self.count = 0
        self._console = line_console()
        self._escapes = line_escapes(on_terminal=self._console.is_terminal)
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
                    f"  {arrival.line.line.translate(self._escapes)}",
                )
            )

    def _style(self, labels: Mapping[str, str]) -> str:
        stream = label_set(tuple(sorted(labels.items())))
        if stream not in self._styles:
            self._styles[stream] = next(self._colours)
            shown = {name: value for name, value in labels.items() if name not in self._hidden}
            self._console.print(_labels(shown, self._styles[stream]))
        return self._styles[stream]


def _labels(labels: Mapping[str, str], style: str) -> Text:
    text = Text()
    for pair in sorted(labels.items()):
        name, _, value = label_set((pair,))[1:-1].partition("=")
        text.append(" " if text else "").append(f"{name}=", "dim").append(value, style)
    return text


def _name(labels: Mapping[str, str]) -> str:
    name = labels.get("service_name") or labels.get("log_group", "").rpartition("/")[2]
    return f"{name or 'line'} (late)" if LATE in labels else name or "line"


def line_escapes(*, on_terminal: bool) -> dict[int, str]:
    """Return the escapes for a line; on a terminal, text after a line feed is indented."""
    return control_escapes(f"\n{' ' * _INDENT}" if on_terminal else "\\n")
