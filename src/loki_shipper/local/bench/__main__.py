"""The benchmark as a command: `scripts/bench`."""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec

from loki_shipper.local.artifact import CLONE, build_artifact
from loki_shipper.local.bench.measure import Measured, Rounds, measure
from loki_shipper.local.bench.profile import profile
from loki_shipper.local.bench.table import table
from loki_shipper.local.progress import on_stream

_LONG = Rounds({1: 200, 100: 100, 1_000: 40, 10_000: 15, 30_000: 5}, 9)
_SHORT = Rounds({1: 20, 100: 10, 1_000: 5, 10_000: 3, 30_000: 2}, 2)


def main() -> None:
    """Build what is deployed, measure it, print the table."""
    options = _parser().parse_args()
    tell = on_stream()
    artifact = build_artifact(os.environ, tell)
    if options.profile is not None:
        _say(profile(artifact, options.profile, tell))
        return
    measured = measure(artifact, _SHORT if options.short else _LONG, tell)
    _say(table(measured))
    if options.json is not None:
        with options.json.open("ab") as rows:
            rows.write(_row(measured) + b"\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure what is deployed, in multiples of an empty handler.",
    )
    parser.add_argument("--short", action="store_true", help="half a minute instead of some")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append the figures as a line")
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="say where the time goes")
    return parser


def _row(measured: Measured) -> bytes:
    return msgspec.json.encode(
        {
            "commit": _git("describe", "--always", "--dirty", "--abbrev=12"),
            "committed": _git("show", "--no-patch", "--format=%cI"),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "measured": measured,
        }
    )


def _git(*arguments: str) -> str:
    # No user input is near it.
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=CLONE, capture_output=True, text=True, check=True
    ).stdout.strip()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
