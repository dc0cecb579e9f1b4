"""Measures handlers under Lambda's runtime on this machine, in turns.

In turns, other load of the machine affects all handlers alike: only the ratios of one run count.
A stand-in for Loki checks that every line arrives.
"""

import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from loki_shipper.formats import PUSH_PATH
from loki_shipper.local.progress import Tell
from loki_shipper.local.runtime_api import runtime_alone
from tools.artifact import SamArtifact
from tools.bench.aws import PARAMETER, InstantAws, run_aws
from tools.bench.payloads import Payload, largest, payload
from tools.bench.runtime import Process, Program, run_process
from tools.bench.sink import InstantLoki, run_sink

HANDLER: Final = "loki_shipper.shipper.handler.handle"
YARDSTICKS: Final = Path(__file__).parent / "yardsticks"

EMPTY, FLOOR, OURS = "empty handler", "C floor", "Loki-Shipper"
WITHOUT_RULES = "Loki-Shipper, RULES=none"
WITH_AWS = "Loki-Shipper, secret in SSM, tag index in S3"
BY_API = "Loki-Shipper, tags from CloudWatch Logs"
THEIRS = "lambda-promtail"
THEIRS_WITH_AWS = "lambda-promtail, secret in SSM"

_SHIP_NOTHING = {EMPTY, FLOOR}

PEAK_EVENTS = 10_000
_WARM_UP = 3

# On Lambda, the folder of the code is read-only.
_READ_ONLY = {"PYTHONDONTWRITEBYTECODE": "1"}


class Rounds(Struct, frozen=True):
    """The numbers of measurements: warm by number of log events, and cold."""

    warm: Mapping[int, int]
    cold: int


class Warm(Struct, frozen=True):
    """Warm invocations of one size.

    `median` and `fastest` are seconds by the clock, `cpu` is the mean of processor seconds,
    `pushes` and `log_bytes` are of one invocation.
    """

    median: float
    fastest: float
    cpu: float
    pushes: float
    log_bytes: float


class Cold(Struct, frozen=True):
    """Medians of a cold start, in seconds: init, the first event of one line, processor time."""

    init: float
    first: float
    cpu: float


class Measured(Struct, frozen=True):
    """Figures by program: warm for each number of log events, cold, and peak memory in bytes."""

    warm: dict[int, dict[str, Warm]]
    cold: dict[str, Cold]
    peaks: dict[str, int]
    largest_peak: int


def measure(artifact: SamArtifact, theirs: Path | None, rounds: Rounds, tell: Tell) -> Measured:
    """Measure all programs; `theirs` is a binary of lambda-promtail."""
    with _runtime() as runtime, run_sink() as sink, run_aws() as aws:
        programs = _programs(artifact, theirs, runtime, sink, aws)
        # The first start reads files from the disk and may compile the runtime.
        _cold(programs, 1, sink, lambda _: None)
        warm, peaks = _warm(programs, rounds.warm, sink, tell)
        cold = _cold(programs, rounds.cold, sink, tell)
        with run_process(programs[OURS]) as process:
            _invoke(process, largest(), sink)
            largest_peak = process.peak_rss
    tell("")
    return Measured(warm, cold, peaks, largest_peak)


@contextmanager
def _runtime() -> Iterator[Path]:
    with TemporaryDirectory(prefix="loki-shipper-runtime-") as name:
        yield runtime_alone(Path(name) / "runtime")


def _programs(
    artifact: SamArtifact, theirs: Path | None, runtime: Path, sink: InstantLoki, aws: InstantAws
) -> dict[str, Program]:
    def python(handler: str, paths: Iterable[Path], env: Mapping[str, str]) -> Program:
        command = [sys.executable, "-S", "-m", "awslambdaric", handler]
        return Program(command, {**_READ_ONLY, **env}, [*paths, runtime])

    def ours(env: Mapping[str, str]) -> Program:
        return python(HANDLER, artifact.paths, {"LOKI_URL": sink.url, **env})

    # The floor uses the libraries of this environment.
    floor = [YARDSTICKS, Path(__file__).parents[2] / "src", *map(Path, filter(None, sys.path))]
    programs = {
        EMPTY: python("empty.handle", [YARDSTICKS], {}),
        FLOOR: python("floor.handle", floor, {}),
        OURS: ours({"TAG_LABELS": "none"}),
        WITHOUT_RULES: ours({"TAG_LABELS": "none", "RULES": "none"}),
        WITH_AWS: ours({"LOKI_SECRET": PARAMETER, "BUCKET": "bucket"} | aws.environ),
        BY_API: ours(aws.environ),
    }
    if theirs is not None:
        env = {"WRITE_ADDRESS": sink.url + PUSH_PATH}
        secret = {"USERNAME": "name", "PASSWORD": PARAMETER}
        command = [str(theirs)]
        programs[THEIRS] = Program(command, env)
        programs[THEIRS_WITH_AWS] = Program(command, env | secret | aws.environ)
    return programs


def _warm(
    programs: Mapping[str, Program], rounds: Mapping[int, int], sink: InstantLoki, tell: Tell
) -> tuple[dict[int, dict[str, Warm]], dict[str, int]]:
    measured: dict[int, dict[str, Warm]] = {}
    peaks: dict[str, int] = {}
    with ExitStack() as stack:
        names = [name for name in programs if name not in {BY_API, THEIRS_WITH_AWS}]
        running = {name: stack.enter_context(run_process(programs[name])) for name in names}
        for events, count in sorted(rounds.items()):
            body = payload(events)
            for _ in range(_WARM_UP):
                for name, process in running.items():
                    _invoke(process, body, sink, ships=name not in _SHIP_NOTHING)
            measured[events] = _turns(running, body, count, sink, tell)
            if events <= PEAK_EVENTS:
                peaks = {name: process.peak_rss for name, process in running.items()}
    return measured, peaks


def _turns(
    running: Mapping[str, Process], body: Payload, count: int, sink: InstantLoki, tell: Tell
) -> dict[str, Warm]:
    taken: dict[str, list[float]] = {name: [] for name in running}
    pushes = dict.fromkeys(running, 0)
    before = {name: (process.cpu_seconds, process.log_bytes) for name, process in running.items()}
    for turn in range(count):
        tell(f"measuring warm: {body.events} events, {turn + 1} of {count}")
        for name, process in running.items():
            seconds, pushed = _invoke(process, body, sink, ships=name not in _SHIP_NOTHING)
            taken[name].append(seconds)
            pushes[name] += pushed
    return {
        name: Warm(
            median=statistics.median(taken[name]),
            fastest=min(taken[name]),
            cpu=(process.cpu_seconds - before[name][0]) / count,
            pushes=pushes[name] / count,
            log_bytes=(process.log_bytes - before[name][1]) / count,
        )
        for name, process in running.items()
    }


def _cold(
    programs: Mapping[str, Program], count: int, sink: InstantLoki, tell: Tell
) -> dict[str, Cold]:
    body = payload(1)
    names = [name for name in programs if name not in {FLOOR, WITHOUT_RULES}]
    taken: dict[str, list[Cold]] = {name: [] for name in names}
    for turn in range(count):
        tell(f"measuring cold: {turn + 1} of {count}")
        for name in names:
            with run_process(programs[name]) as process:
                first, _ = _invoke(process, body, sink, ships=name not in _SHIP_NOTHING)
                taken[name].append(Cold(process.init_seconds, first, process.cpu_seconds))
    return {
        name: Cold(
            statistics.median(each.init for each in colds),
            statistics.median(each.first for each in colds),
            statistics.median(each.cpu for each in colds),
        )
        for name, colds in taken.items()
    }


def _invoke(
    process: Process, body: Payload, sink: InstantLoki, *, ships: bool = True
) -> tuple[float, int]:
    """Return the seconds and the pushes of one invocation; check that every line arrived."""
    answered = process.invoke(body.body)
    pushes = sink.take()
    arrived = [entry.line for push in pushes for entry in push.entries]
    if sorted(arrived) != (sorted(body.lines) if ships else []):
        raise AssertionError(f"{len(arrived)} of {body.events} lines arrived, {answered.response}")
    return answered.seconds, len(pushes)
