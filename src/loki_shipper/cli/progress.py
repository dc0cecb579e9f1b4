"""How far a command has come, for people at a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from loki_shipper.subscriber.filters.apply import ActionOutcome, Done

_MINUTE = 60_000
_UNITS = (("days", 86_400_000), ("hours", 3_600_000), ("minutes", _MINUTE))


class Counting:
    """Keeps the outcomes of a run, one a log group, and shows how many there are."""

    def __init__(self, bar: Progress, total: int | None, what: str) -> None:
        self._outcomes: dict[str, ActionOutcome] = {}
        self._bar = bar
        self._task = bar.add_task(what, total=total)

    def __call__(self, outcome: ActionOutcome) -> None:
        """Take one more."""
        # A second look does not undo what the first one did.
        if not isinstance(self._outcomes.get(outcome.group), Done):
            self._outcomes[outcome.group] = outcome
        self._bar.update(self._task, completed=len(self._outcomes))

    @property
    def outcomes(self) -> list[ActionOutcome]:
        """List them as they came."""
        return list(self._outcomes.values())


@contextmanager
def counting(total: int | None, what: str = "log groups") -> Iterator[Counting]:
    """Show a bar on stderr as long as the block lasts, if that is a terminal."""
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with _shown(*columns) as bar:
        yield Counting(bar, total, what)


class ThroughTime:
    """Shows how much of a span of time is done, how many lines, how fast, and when it ends."""

    def __init__(self, bar: Progress, start: int, end: int, now: Callable[[], int]) -> None:
        self._bar, self._start, self._end, self._now = bar, start, end, now
        self._began = now()
        self._lines = 0
        self._task = bar.add_task("", total=end - start)

    def add(self, lines: int) -> None:
        """Count lines that are done."""
        self._lines += lines
        self._show()

    def reach(self, until: int) -> None:
        """Say that everything before a time in ms since 1970 is done."""
        self._bar.update(self._task, completed=until - self._start)
        self._show()

    def _show(self) -> None:
        done = self._bar.tasks[self._task].completed
        seconds = max(1, self._now() - self._began) / 1000
        text = f"{_of(done, self._end - self._start)}, {self._lines:,} lines"
        self._bar.update(self._task, description=f"{text}, {self._lines / seconds:,.0f}/s")


def _of(done: float, total: float) -> str:
    """Write how much of a time is done, both in ms, in the unit that suits the whole."""
    name, unit = next((name, unit) for name, unit in _UNITS if total >= 2 * unit or unit == _MINUTE)
    return f"{done / unit:.1f} of {total / unit:.1f} {name}"


@contextmanager
def through_time(start: int, end: int, now: Callable[[], int]) -> Iterator[ThroughTime]:
    """Show a bar on stderr as long as the block lasts, if that is a terminal.

    `start`, `end` and `now` are times in ms since 1970.
    """
    columns = (
        BarColumn(bar_width=10),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with _shown(*columns) as bar:
        yield ThroughTime(bar, start, end, now)


@contextmanager
def _shown(*columns: ProgressColumn) -> Iterator[Progress]:
    """Make a bar on stderr that goes when the block ends."""
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield bar
