"""Profiles warm invocations by their stacks, and a cold start by its imports."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from loki_shipper.local.progress import Tell
from loki_shipper.local.runtime_api import Response, run_execution_environment
from tools.artifact import SamArtifact
from tools.bench.measure import YARDSTICKS
from tools.bench.payloads import payload
from tools.bench.sink import run_sink

_EVENTS = 10_000
_INVOCATIONS = 40
_SHOWN = 25
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| *(\S+)$")


def profile(artifact: SamArtifact, folder: Path, tell: Tell) -> str:
    """Write `folder`/stacks.txt for flame graph tools; return the top of both profiles."""
    folder.mkdir(parents=True, exist_ok=True)
    stacks = folder / "stacks.txt"
    env = {
        "TAG_LABELS": "none",
        "STACKS": str(stacks.absolute()),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    paths = [*artifact.paths, YARDSTICKS]
    body = payload(_EVENTS).body
    with (
        run_sink() as sink,
        run_execution_environment(
            "sampled.handle", paths=paths, env=env | {"LOKI_URL": sink.url}, alone=True
        ) as environment,
    ):
        for number in range(_INVOCATIONS):
            tell(f"profiling: {number + 1} of {_INVOCATIONS}")
            result = environment.invoke(body)
            assert isinstance(result, Response), result
        imports = list(_imports(environment.log_lines))
    tell("")
    lines = stacks.read_text().splitlines()
    return "\n".join(
        [
            f"warm, {_EVENTS:,} events (all stacks: {stacks})",
            *_top(_leaves(lines)),
            "",
            "imports, each without what it imports itself",
            *_top(imports),
        ]
    )


def _leaves(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        stack, _, count = line.rpartition(" ")
        yield stack.rpartition(";")[2], int(count)


def _imports(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        if found := _IMPORT.match(line):
            yield found[3], int(found[1])


def _top(shares: Iterable[tuple[str, int]]) -> Iterator[str]:
    total = Counter[str]()
    for name, share in shares:
        total[name] += share
    for name, share in total.most_common(_SHOWN):
        yield f"{share / total.total():6.1%}  {name}"
