"""The benchmark as a command: `scripts/bench`."""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from loki_shipper.local.progress import on_stream
from tools.artifact import CLONE, build_artifact
from tools.bench.measure import THEIRS, Measured, Rounds, measure
from tools.bench.profile import profile
from tools.bench.published import Run, publish
from tools.bench.table import table

_LONG = Rounds({1: 200, 100: 100, 1_000: 40, 10_000: 20, 30_000: 3}, 11)
_SHORT = Rounds({1: 20, 100: 10, 1_000: 5, 10_000: 3}, 2)


def main() -> None:
    """Build the functions, measure them, and print the tables."""
    parser = _parser()
    options = parser.parse_args()
    if options.plot and (options.against is None or options.short):
        parser.error("--plot publishes ratios: it needs --against, and no --short")
    tell = on_stream()
    artifact = build_artifact(os.environ, tell)
    if options.profile is not None:
        _say(profile(artifact, options.profile, tell))
        return
    measured = measure(artifact, options.against, _SHORT if options.short else _LONG, tell)
    _say(table(measured))
    if options.plot:
        publish(_run(measured, options.against), CLONE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the built functions under Lambda's runtime, on this machine.",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="measure this binary of lambda-promtail in the same turns",
    )
    parser.add_argument("--short", action="store_true", help="half a minute instead of some")
    parser.add_argument(
        "--plot",
        action="store_true",
        help="write docs/benchmark.json, its picture, and the tables of the documents",
    )
    parser.add_argument("--profile", type=Path, metavar="FOLDER", help="show where the time goes")
    return parser


def _run(measured: Measured, against: Path) -> Run:
    return Run(
        date=datetime.now(UTC).date().isoformat(),
        commit=_output("git", "-C", str(CLONE), "describe", "--always", "--dirty"),
        machine=f"{platform.machine()}, {os.cpu_count()} shared cores",
        python=platform.python_version(),
        against=f"{THEIRS} ({_revision(against)})",
        measured=measured,
    )


def _revision(binary: Path) -> str:
    """Return the commit of a Go binary and its version of Go."""
    version, *facts = _output("go", "version", "-m", str(binary)).splitlines()
    revisions = [fact.partition("vcs.revision=")[2] for fact in facts if "vcs.revision=" in fact]
    return f"commit {revisions[0][:12] if revisions else 'unknown'}, {version.rpartition(' ')[2]}"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
