"""Measures how fast redrivers ship a backlog to a real Loki (`scripts/redrive-rate`).

Loki and the redriver's code are real. S3 is a stand-in with S3's latency, as moto is far slower.
Each worker is a process, as it is a function on Lambda. At the end, Loki must have every line.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import asdict
from msgspec.structs import replace as changed

from loki_shipper.local.find_loki import Executable, NotFound, find_executable
from loki_shipper.local.loki import start
from loki_shipper.local.progress import Tell, on_stream
from loki_shipper.local.query_loki import LokiError, query_range
from loki_shipper.local.sample import from_lines, invocation_event
from loki_shipper.model import Batch
from loki_shipper.redriver.bucket import Bucket, Fault, Share, StoredObject, waiting
from loki_shipper.redriver.effects import CONCURRENT_LOG_GROUPS, redrive_effects
from loki_shipper.redriver.redrive import redrive
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.shipper import Shipper

_TENANT: Final = "redrive-rate"
_LINES: Final = 50
_LINE_BYTES: Final = 200
"""Of an object: 10 KB of text, the average of a busy account."""

_GET_SECONDS: Final = 0.03
_WRITE_SECONDS: Final = 0.06
"""How long S3 takes for a request: the figures of tests/simulation/simulation.py."""

_READS_AT_ONCE: Final = 16
_OUTAGE: Final = timedelta(hours=2)
_MANY_REQUESTS: Final = 429
_PAGE: Final = 5_000
"""Stock Loki's limit of lines for a query."""

_LIMITS: Final[dict[str, dict[str, Any]]] = {
    "stock": {},
    "raised": {"ingestion_rate_mb": 100, "ingestion_burst_size_mb": 100},
}
"""The tenant's limits, in addition to those of stock Loki, which shards streams."""


class RatePlan(Struct, frozen=True):
    """The backlog: objects of log groups, logged during the outage that ended at `back`."""

    name: str
    objects: int
    groups: int
    workers: int
    back: float
    url: str

    def key(self, number: int) -> str:
        """Return an object's key, in Lambda's format."""
        at = datetime.fromtimestamp(self.logged(number), UTC)
        name = f"{at:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{number:08x}"
        return f"aws/lambda/async/{self.name}/{name}"

    def logged(self, number: int) -> float:
        """Return the time of an object's newest line, in seconds since 1970."""
        return self.back - _OUTAGE.total_seconds() * (1 - number / self.objects)

    def group(self, number: int) -> str:
        """Return an object's log group."""
        return f"/{self.name}/{number * 7919 % self.groups}"

    def lines(self, number: int) -> list[str]:
        """Return an object's lines."""
        return [_line(number, line) for line in range(_LINES)]

    def body(self, number: int) -> bytes:
        """Return an object's body: an on-failure record of Lambda."""
        data = from_lines(
            self.lines(number),
            log_group=self.group(number),
            log_stream="stream",
            newest=int(self.logged(number) * 1000),
        )
        return json.dumps({"requestPayload": invocation_event(data)}).encode()


class Worked(Struct, frozen=True):
    """The result of one worker: lines, objects left, pushes, and CPU seconds."""

    lines: int
    left: int
    pushes: int
    refused: int
    processor: float


class RedriveRate(Struct, frozen=True, kw_only=True):
    """The figures; Loki answered `refused` pushes with 429, and has `once` lines exactly once."""

    objects: int
    workers: int
    seconds: float
    objects_a_second: float
    megabytes_a_second: float
    processor_ms_an_object: float
    pushes: int
    refused: int
    lines: int
    once: int
    left: int

    @property
    def is_complete(self) -> bool:
        """Tell whether Loki has every line exactly once, and no object is left."""
        return self.once == self.lines and not self.left


def measure(plan: RatePlan) -> RedriveRate:
    """Let the workers ship the backlog, then query Loki for it."""
    shares = [(plan, number) for number in range(plan.workers)]
    spawned = multiprocessing.get_context("spawn")
    with spawned.Pool(plan.workers) as pool:
        # The interpreters start before the measurement.
        pool.map(_is_ready, range(plan.workers), chunksize=1)
        began = time.monotonic()
        worked = pool.map(_work, shares, chunksize=1)
        seconds = time.monotonic() - began
    held = _held(plan)
    lines = [line for number in range(plan.objects) for line in plan.lines(number)]
    size = plan.objects * _LINES * _LINE_BYTES
    return RedriveRate(
        objects=plan.objects,
        workers=plan.workers,
        seconds=seconds,
        objects_a_second=plan.objects / seconds,
        megabytes_a_second=size / seconds / 1e6,
        processor_ms_an_object=sum(each.processor for each in worked) / plan.objects * 1000,
        pushes=sum(each.pushes for each in worked),
        refused=sum(each.refused for each in worked),
        lines=len(lines),
        once=sum(held[line] == 1 for line in lines),
        left=sum(each.left for each in worked),
    )


def _is_ready(_: int) -> bool:
    return True


def _work(share: tuple[RatePlan, int]) -> Worked:
    """Run one worker until its share is empty."""
    plan, number = share
    worker = Share(number, plan.workers)
    bucket = _bucket({plan.key(n): plan.body(n) for n in range(plan.objects)}, plan)
    environ = {"LOKI_URL": plan.url, "LOKI_TENANT": _TENANT, "TAG_LABELS": "none"}
    environment = Shipper(settings(environ), "", connections=CONCURRENT_LOG_GROUPS)
    deps = changed(environment.dependencies(lambda: 3600.0), put=_put)
    sent = Counter[int]()

    def send(batch: Batch) -> Answer | NoAnswer:
        answer = deps.delivery.send(batch)
        sent[answer.status if isinstance(answer, Answer) else 0] += 1
        return answer

    counted = changed(deps, delivery=changed(deps.delivery, send=send))
    now = datetime.now(UTC)
    before, left, lines = time.process_time(), 1, 0
    with ThreadPoolExecutor(CONCURRENT_LOG_GROUPS) as pool:
        while left:
            needed = redrive_effects(
                counted, bucket, workers=plan.workers, clock=time.monotonic, now=now, map=pool.map
            )
            run = redrive(waiting(bucket, now, share=worker), needed)
            lines, left = lines + run.lines, run.left
    return Worked(lines, left, sent.total(), sent[_MANY_REQUESTS], time.process_time() - before)


def _put(key: str, _: bytes) -> None:
    raise AssertionError(f"Loki rejects no line, so no object is written: {key}")


def _bucket(objects: dict[str, bytes], plan: RatePlan) -> Bucket:
    """Return a bucket in memory with S3's latency."""
    written = datetime.fromtimestamp(plan.back, UTC)
    readers = ThreadPoolExecutor(_READS_AT_ONCE)

    def listed(prefix: str, after: str) -> Iterator[StoredObject]:
        time.sleep(_WRITE_SECONDS)
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        for key in keys:
            yield StoredObject(key, len(objects[key]), written)

    def read(key: str) -> bytes | Fault | None:
        time.sleep(_GET_SECONDS)
        return objects.get(key)

    def delete(keys: Sequence[str]) -> dict[str, Fault]:
        time.sleep(_WRITE_SECONDS)
        for key in keys:
            del objects[key]
        return {}

    return Bucket(listed, lambda keys: [*readers.map(read, keys)], delete, lambda *_: None)


def _held(plan: RatePlan) -> Counter[str]:
    held = Counter[str]()
    begin, end = int((plan.back - 3 * 3600) * 1e9), int((plan.back + 60) * 1e9)
    for group in sorted({plan.group(number) for number in range(plan.objects)}):
        start = begin
        while True:
            found = query_range(
                plan.url,
                f'{{log_group="{group}"}}',
                start_ns=start,
                end_ns=end,
                tenant=_TENANT,
                limit=_PAGE,
            )
            held.update(line.line for line in found)
            if len(found) < _PAGE:
                break
            start = found[-1].timestamp + 1
    return held


def run(  # noqa: PLR0913 - the options of the command
    found: Executable,
    directory: Path,
    *,
    objects: int,
    groups: int,
    workers: int,
    limits: str,
    tell: Tell,
) -> RedriveRate:
    """Measure with a new Loki."""
    with start(found, directory, profile="stock", tell=tell) as loki:
        if _LIMITS[limits]:
            loki.override(_TENANT, _LIMITS[limits])
        name = uuid.uuid4().hex
        return measure(RatePlan(name, objects, groups, workers, time.time(), loki.url))


def main(arguments: list[str] | None = None) -> int:
    """Measure how fast redrivers ship objects of 10 KB to a real Loki."""
    parser = argparse.ArgumentParser(prog="scripts/redrive-rate", description=main.__doc__)
    parser.add_argument("--objects", type=int, default=20_000, help="default: 20,000")
    parser.add_argument("--groups", type=int, default=500, help="log groups, default: 500")
    parser.add_argument("--workers", type=int, default=4, help="default: 4, as RedriveWorkers")
    parser.add_argument("--limits", choices=_LIMITS, default="stock", help="of Loki's ingestion")
    options = parser.parse_args(arguments)
    tell = on_stream()
    found = find_executable(os.environ, tell)
    if isinstance(found, NotFound):
        sys.exit(found.why)
    try:
        with TemporaryDirectory(prefix="loki-shipper-rate-") as name:
            measured = run(found, Path(name), **vars(options), tell=tell)
    except LokiError as error:
        sys.exit(str(error))
    for name, value in asdict(measured).items():
        sys.stdout.write(f"{name.replace('_', ' '):<24}{value:>12,.1f}\n")
    return 0 if measured.is_complete else 1


def _line(number: int, line: int) -> str:
    text = f"object {number:07} line {line:02} took=13ms status=200 id="
    filler = sha256(text.encode()).hexdigest() * 3
    return (text + filler)[:_LINE_BYTES]


if __name__ == "__main__":
    sys.exit(main())
