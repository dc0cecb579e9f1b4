"""Shows progress bars on stderr, if that is a terminal."""

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

from loki_shipper.subscriber.buckets.link import BucketOutcome
from loki_shipper.subscriber.filters.apply import ActionOutcome, Done

_MINUTE = 60_000
_UNITS = (("days", 86_400_000), ("hours", 3_600_000), ("minutes", _MINUTE))


class OutcomeBar:
    """Keeps the latest outcome of each log group, and shows how many log groups are done.

    `buckets` has the outcomes for buckets with log files.
    """

    def __init__(self, bar: Progress, total: int | None) -> None:
        self.buckets: list[BucketOutcome] = []
        self._outcomes: dict[str, ActionOutcome] = {}
        self._bar = bar
        self._task = bar.add_task("log groups", total=total)

    def __call__(self, outcome: ActionOutcome) -> None:
        """Take one more outcome."""
        # A later skip or failure does not undo what was done before.
        if not isinstance(self._outcomes.get(outcome.group), Done):
            self._outcomes[outcome.group] = outcome
        self._bar.update(self._task, completed=len(self._outcomes))

    def add_bucket(self, outcome: BucketOutcome) -> None:
        """Take the outcome for one more bucket."""
        self.buckets.append(outcome)

    @property
    def outcomes(self) -> list[ActionOutcome]:
        """List the outcomes in the order of the log groups' first ones."""
        return list(self._outcomes.values())


@contextmanager
def outcome_bar(total: int | None) -> Iterator[OutcomeBar]:
    """Show a bar of log groups as long as the block lasts."""
    description = TextColumn("{task.description}")
    with _bar(BarColumn(), MofNCompleteColumn(), description, TimeRemainingColumn()) as bar:
        yield OutcomeBar(bar, total)


@contextmanager
def object_bar(total: Callable[[], int]) -> Iterator[Callable[[int, str], None]]:
    """Show a bar of objects as long as the block lasts, and yield how to update it.

    The update takes the number of objects that are done, and a text about them. `total` counts the
    objects, and is called only for a bar that is seen.
    """
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("objects"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with _bar(*columns) as bar:
        task = bar.add_task("", total=None if bar.disable else total())

        def update(objects: int, text: str) -> None:
            bar.update(task, completed=objects, description=text)

        yield update


@contextmanager
def listing_bar() -> Iterator[Callable[[int, int], None]]:
    """Show how many objects are listed as long as the block lasts, and yield how to update it.

    The update takes the number of listed objects, and of those that are wanted.
    """
    with _bar(TextColumn("{task.description}")) as bar:
        task = bar.add_task("", total=None)

        def update(seen: int, wanted: int) -> None:
            bar.update(task, description=f"{seen:,} objects listed, {wanted:,} of them to ship")

        yield update


class TimeBar:
    """Shows how much of a span of time is done, how many lines, how fast, and the time left."""

    def __init__(self, bar: Progress, start: int, end: int, now: Callable[[], int]) -> None:
        self._bar, self._start, self._end, self._now = bar, start, end, now
        self._began = now()
        self._lines = 0
        self._task = bar.add_task("", total=end - start)

    def add(self, lines: int) -> None:
        """Count more lines."""
        self._lines += lines
        self._show()

    def reach(self, until: int) -> None:
        """Set the time before which everything is done, in ms since 1970."""
        self._bar.update(self._task, completed=until - self._start)
        self._show()

    def _show(self) -> None:
        done = self._bar.tasks[self._task].completed
        seconds = max(1, self._now() - self._began) / 1000
        text = f"{_of(done, self._end - self._start)}, {self._lines:,} lines"
        self._bar.update(self._task, description=f"{text}, {self._lines / seconds:,.0f}/s")


def _of(done: float, total: float) -> str:
    """Format how much of a duration is done, both in ms, in the unit that suits the total."""
    name, unit = next((name, unit) for name, unit in _UNITS if total >= 2 * unit or unit == _MINUTE)
    return f"{done / unit:.1f} of {total / unit:.1f} {name}"


@contextmanager
def time_bar(start: int, end: int, now: Callable[[], int]) -> Iterator[TimeBar]:
    """Show a bar of a span of time as long as the block lasts.

    `start`, `end` and `now` are times in ms since 1970.
    """
    columns = (
        BarColumn(bar_width=10),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with _bar(*columns) as bar:
        yield TimeBar(bar, start, end, now)


@contextmanager
def _bar(*columns: ProgressColumn) -> Iterator[Progress]:
    """Show a bar that disappears when the block ends."""
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield bar
