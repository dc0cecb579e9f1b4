"""How far a command has come, for people at a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from loki_shipper.subscriber.apply import Done, Outcome


class Counting:
    """Keeps the outcomes of a run, one a log group, and shows how many there are."""

    def __init__(self, bar: Progress, total: int | None, what: str) -> None:
        self._outcomes: dict[str, Outcome] = {}
        self._bar = bar
        self._task = bar.add_task(what, total=total)

    def __call__(self, outcome: Outcome) -> None:
        """Take one more."""
        # A second look does not undo what the first one did.
        if not isinstance(self._outcomes.get(outcome.group), Done):
            self._outcomes[outcome.group] = outcome
        self._bar.update(self._task, completed=len(self._outcomes))

    @property
    def outcomes(self) -> list[Outcome]:
        """List them as they came."""
        return list(self._outcomes.values())


@contextmanager
def counting(total: int | None, what: str = "log groups") -> Iterator[Counting]:
    """Show a bar on stderr as long as the block lasts, if that is a terminal."""
    with shown() as bar:
        yield Counting(bar, total, what)


@contextmanager
def shown() -> Iterator[Progress]:
    """Make a bar on stderr that goes when the block ends."""
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield bar
