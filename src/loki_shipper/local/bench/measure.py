"""Measures handlers under Lambda's runtime on this machine, in turns; figures are medians.

Taking turns, whatever else the machine does meets all of them. Pushes go to a sink that decodes
them afterwards, so that nobody wins by dropping.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from loki_shipper.local.artifact import Artifact
from loki_shipper.local.aws import ACCOUNT, LocalAws, run_aws
from loki_shipper.local.bench.payloads import LOG_GROUP, Payload, largest, payload
from loki_shipper.local.bench.sink import Sink, run_sink
from loki_shipper.local.progress import Tell
from loki_shipper.local.runtime_api import Response, Sandbox, run_sandbox
from loki_shipper.shipper.tag_index import Tagged, TagIndex, encode_index, index_key

HANDLER: Final = "loki_shipper.shipper.handler.handle"
YARDSTICKS: Final = Path(__file__).parent / "yardsticks"

EMPTY, FLOOR, OURS = "empty handler", "C floor", "Loki-Shipper"
BY_API, BY_INDEX = "tags from the API", "tags from the index"

# On Lambda nothing can be written beside the code.
_READ_ONLY = {"PYTHONDONTWRITEBYTECODE": "1"}
_BUCKET = "bucket"
_TAGS = {"team": "payments", "driver": "python", "env": "prod"}
_OTHER_GROUPS = 1_000
_PEAK_EVENTS = 10_000
_SETTLE = 0.005
"""Seconds for a process to ask for its next event, before anybody else is measured."""

type Start = Callable[[], AbstractContextManager[Sandbox]]
type Starts = Mapping[str, Start]


class Rounds(Struct, frozen=True):
    """How often each is measured: warm by number of log events, and cold."""

    warm: Mapping[int, int]
    cold: int


class Timing(Struct, frozen=True):
    """Seconds by the clock, median and fastest, and of the processor, median."""

    seconds: float
    fastest: float
    cpu: float


class Measured(Struct, frozen=True):
    """Timings by handler: warm for each number of log events, and cold; peak memory in bytes."""

    warm: dict[int, dict[str, Timing]]
    cold: dict[str, Timing]
    peaks: dict[str, int]
    largest_peak: int


def measure(artifact: Artifact, rounds: Rounds, tell: Tell) -> Measured:
    """Measure everything once."""
    with run_sink() as sink, _aws_with_tags() as aws:
        starts = _starts(artifact, sink, aws)
        # What was never loaded comes from the disk, and the runtime's own bytecode may be missing.
        _cold(starts, 1, sink, lambda _: None)
        warm, peaks = _warm(starts, rounds.warm, sink, tell)
        cold = _cold(starts, rounds.cold, sink, tell)
        with starts[OURS]() as sandbox:
            _timed(sandbox, largest(), sink)
            largest_peak = sandbox.peak_rss or 0
    tell("")
    return Measured(warm, cold, peaks, largest_peak)


@contextmanager
def _aws_with_tags() -> Iterator[LocalAws]:
    """Run an AWS with a log group that has tags, and an index of it and a thousand others."""
    with run_aws() as aws:
        aws.create_log_group(LOG_GROUP, _TAGS)
        location = {"LocationConstraint": aws.region}
        aws.client("s3").create_bucket(Bucket=_BUCKET, CreateBucketConfiguration=location)
        names = [LOG_GROUP, *(f"{LOG_GROUP}-{number}" for number in range(_OTHER_GROUPS))]
        index = encode_index(TagIndex({name: Tagged(0, _TAGS) for name in names}))
        key = index_key(ACCOUNT, aws.region)
        aws.client("s3").put_object(Bucket=_BUCKET, Key=key, Body=index)
        yield aws


def _starts(artifact: Artifact, sink: Sink, aws: LocalAws) -> Starts:
    loki = {"LOKI_URL": sink.url, **_READ_ONLY}
    ours = partial(run_sandbox, HANDLER, paths=artifact.paths, cwd=artifact.function, alone=True)
    return {
        EMPTY: partial(run_sandbox, "empty.handle", paths=[YARDSTICKS], env=_READ_ONLY, alone=True),
        FLOOR: partial(run_sandbox, "floor.handle", paths=[YARDSTICKS]),
        OURS: partial(ours, env=loki | {"TAG_LABELS": "none"}),
        BY_API: partial(ours, env=loki | aws.environ),
        BY_INDEX: partial(ours, env=loki | aws.environ | {"BUCKET": _BUCKET}),
    }


def _warm(
    starts: Starts, rounds: Mapping[int, int], sink: Sink, tell: Tell
) -> tuple[dict[int, dict[str, Timing]], dict[str, int]]:
    timings: dict[int, dict[str, Timing]] = {}
    peaks: dict[str, int] = {}
    with ExitStack() as stack:
        # What tags cost at first, the cold lines tell; warm, they are known.
        which = {EMPTY: EMPTY, FLOOR: FLOOR, OURS: BY_API}
        running = {name: stack.enter_context(starts[start]()) for name, start in which.items()}
        for events, count in sorted(rounds.items()):
            body = payload(events)
            # The first of each size makes room for it.
            _turns(running, body, 2, sink, lambda _: None)
            timings[events] = _turns(running, body, count, sink, tell)
            if events <= _PEAK_EVENTS:
                peaks = {name: sandbox.peak_rss or 0 for name, sandbox in running.items()}
    return timings, peaks


def _turns(
    running: Mapping[str, Sandbox], body: Payload, count: int, sink: Sink, tell: Tell
) -> dict[str, Timing]:
    taken: dict[str, list[Timing]] = {name: [] for name in running}
    for turn in range(count):
        tell(f"measuring warm: {body.events} events, {turn + 1} of {count}")
        for name, sandbox in running.items():
            taken[name].append(_timed(sandbox, body, sink))
    return _medians(taken)


def _cold(starts: Starts, count: int, sink: Sink, tell: Tell) -> dict[str, Timing]:
    """Time from the start of a process to the end of its first invocation, of one log event."""
    body = payload(1)
    names = [name for name in starts if name != FLOOR]
    taken: dict[str, list[Timing]] = {name: [] for name in names}
    for turn in range(count):
        tell(f"measuring cold: {turn + 1} of {count}")
        for name in names:
            with starts[name]() as sandbox:
                sandbox.wait_for_init()
                assert sandbox.init_seconds is not None
                first = _timed(sandbox, body, sink)
                seconds = sandbox.init_seconds + first.seconds
                taken[name].append(Timing(seconds, seconds, _cpu_seconds(sandbox.pid)))
    return _medians(taken)


def _timed(sandbox: Sandbox, body: Payload, sink: Sink) -> Timing:
    """Time one invocation, and see that everything arrived."""
    cpu, began = _cpu_seconds(sandbox.pid), time.perf_counter()
    result = sandbox.invoke(body.body)
    seconds = time.perf_counter() - began
    time.sleep(_SETTLE)
    timing = Timing(seconds, seconds, _cpu_seconds(sandbox.pid) - cpu)
    arrived = sum(len(push.entries) for push in sink.take())
    match result:
        case Response(payload={"delivered": int(delivered)}) if delivered == body.events:
            assert arrived == body.events
        case Response(payload=None | int()):
            assert not arrived
        case _:
            raise AssertionError(result)
    return timing


def _cpu_seconds(pid: int) -> float:
    """Sum what the threads of a process have run so far."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _medians(taken: Mapping[str, list[Timing]]) -> dict[str, Timing]:
    return {
        name: Timing(
            statistics.median(timing.seconds for timing in timings),
            min(timing.fastest for timing in timings),
            statistics.median(timing.cpu for timing in timings),
        )
        for name, timings in taken.items()
    }
