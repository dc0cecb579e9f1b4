"""Writes the figures of one run to `docs/benchmark.json` and into the documents.

In a document, two comments mark a table:

    <!-- benchmark: times -->
    <!-- /benchmark -->
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from tools.bench import table
from tools.bench.accounts import accounts
from tools.bench.measure import Measured
from tools.bench.plot import plot

FIGURES: Final = Path("docs/benchmark.json")
PICTURE: Final = Path("docs/images/benchmark.svg")
DOCUMENTS: Final = (Path("docs/performance.md"), Path("docs/cost.md"))

_PLACE = re.compile(r"(<!-- benchmark: (\w+) -->\n).*?(<!-- /benchmark -->)", re.DOTALL)


class Run(Struct, frozen=True):
    """One run of the benchmark: its date, commit, machine, Python, competitor and figures."""

    date: str
    commit: str
    machine: str
    python: str
    against: str
    measured: Measured


def described(run: Run) -> str:
    """Describe a run in a sentence."""
    return (
        f"One run on {run.date}, of commit {run.commit}: {run.machine}, Python {run.python}, "
        f"against {run.against}."
    )


_TABLES: Final[dict[str, Callable[[Run], str]]] = {
    "run": described,
    "times": lambda run: table.times(run.measured),
    "starts": lambda run: table.starts(run.measured),
    "peaks": lambda run: table.peaks(run.measured),
    "dollars": lambda run: table.dollars(run.measured),
    "memories": lambda run: table.memories(run.measured),
    "x86": lambda run: table.x86(run.measured),
    "processor": lambda run: table.processor(run.measured),
    "log": lambda run: table.log(run.measured),
}


def filled(document: str, run: Run) -> str:
    """Return a document with the tables of a run."""
    tables = _PLACE.sub(lambda at: f"{at[1]}\n{_TABLES[at[2]](run)}\n\n{at[3]}", document)
    return accounts(tables, run.measured)


def publish(run: Run, clone: Path) -> None:
    """Write figures, picture and documents."""
    figures = msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"
    (clone / FIGURES).write_bytes(figures)
    (clone / PICTURE).write_text(plot(run.measured))
    for document in DOCUMENTS:
        path = clone / document
        path.write_text(filled(path.read_text(), run))


def published(clone: Path) -> Run:
    """Read the published run."""
    return msgspec.json.decode((clone / FIGURES).read_bytes(), type=Run)
