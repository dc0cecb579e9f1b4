"""Makes the consoles that commands print to, and rows of a title and a text."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

_ENDLESS = 100_000


def line_console() -> Console:
    """Make a console that never wraps a line."""
    return Console(highlight=False, soft_wrap=True)


def table_console() -> Console:
    """Make a console that wraps text within its column on a terminal, and nowhere else."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _ENDLESS)


def row(title: str, text: str, style: str = "dim") -> Table:
    """Make a row of a title and a text; wrapped text stays in its column."""
    return columns((Text(title, style), 9), text=text)


def columns(*titles: tuple[Text, int], text: str) -> Table:
    """Make a row of titles, each with its least width, and a text; wrapped text stays in place."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for _, width in titles:
        table.add_column(no_wrap=True, min_width=width)
    table.add_column(overflow="fold")
    table.add_row(*(title for title, _ in titles), Text(text))
    return table
