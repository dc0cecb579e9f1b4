"""Ships thousands of lines through the built functions while Loki and the functions fail.

The shipper and the redriver come from `sam build` and run under Lambda's runtime, with a model of
its asynchronous invocation. AWS is moto, Loki is real. During the run, Loki is killed, limits the
rate, is killed again, and restarts; execution environments are killed during an invocation. Then
the redriver runs, and Loki must have every line.
"""

import argparse
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from loki_shipper.local.aws import LocalAws, run_aws
from loki_shipper.local.find_loki import Executable, NotFound, find_executable
from loki_shipper.local.progress import Tell, on_stream
from loki_shipper.local.query_loki import LokiError, query_range
from loki_shipper.local.runtime_api import ExecutionEnvironment, Response, run_execution_environment
from loki_shipper.local.sample import from_lines, invocation_event
from tools.artifact import SamArtifact, SamBuildError, build_artifact
from tools.asynchronous import AsynchronousFunction, run_function
from tools.loki_with_outages import LokiWithOutages, run_loki_with_outages

_SHIPPER: Final = "loki_shipper.shipper.handler.handle"
_REDRIVER: Final = "loki_shipper.redriver.handler.handle"
_BUCKET: Final = "soak"
_TENANT: Final = "soak"
_GROUPS: Final = 4
_LINES: Final = 500
"""Lines of a payload."""

_WORKERS: Final = 2
_DEADLINE_MS: Final = 12_000
_RUNS: Final = 20
_LIMITS: Final = {"ingestion_rate_mb": 0.05, "ingestion_burst_size_mb": 0.05}
"""Less than a payload: the shipper must halve it."""

_KILLED_EVERY: Final = 5
"""Payloads for each execution environment that is killed."""


class Soaked(Struct, frozen=True, kw_only=True):
    """The figures of a soak.

    Loki has `once` lines exactly once; `left` objects are still in the bucket.
    """

    lines: int
    payloads: int
    tries: int
    environments_killed: int
    loki_killed: int
    kept_by_lambda: int
    kept_by_shipper: int
    redriver_runs: int
    lines_redriven: int
    once: int
    missing: int
    repeated: int
    left: int
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Tell whether Loki has every line exactly once, and the bucket no object."""
        return self.once == self.lines and not self.left


def soak(lines: int, *, seed: int, artifact: SamArtifact, found: Executable, tell: Tell) -> Soaked:
    """Ship `lines` lines during all faults, and return the figures."""
    began = time.monotonic()
    with (
        TemporaryDirectory(prefix="loki-shipper-soak-") as name,
        run_aws() as aws,
        run_loki_with_outages(found, Path(name), tell) as loki,
    ):
        aws.client("s3").create_bucket(
            Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region}
        )
        loki.start()
        return _Soak(aws, loki, artifact, random.Random(seed), tell).run(lines, began)  # noqa: S311 - the same faults for the same seed


class _Soak:
    def __init__(
        self,
        aws: LocalAws,
        loki: LokiWithOutages,
        artifact: SamArtifact,
        chance: random.Random,
        tell: Tell,
    ) -> None:
        self._aws = aws
        self._loki = loki
        self._artifact = artifact
        self._chance = chance
        self._tell = tell
        self._lock = threading.Lock()
        self._begun = 0
        self._tries = 0
        self._kept = 0
        self._environments_killed = 0

    def run(self, lines: int, began: float) -> Soaked:
        payloads = -(-lines // _LINES)
        faults = self._faults(payloads)
        since = time.time_ns()
        with ThreadPoolExecutor(_WORKERS) as pool:
            for worker in [pool.submit(self._work, payloads, faults) for _ in range(_WORKERS)]:
                worker.result()
        spilled = len(self._keys("failed/"))
        runs, redriven = self._redrive()
        held = self._held(payloads, since)
        expected = {line for n in range(payloads) for line in _payload_lines(n)}
        return Soaked(
            lines=len(expected),
            payloads=payloads,
            tries=self._tries,
            environments_killed=self._environments_killed,
            loki_killed=self._loki.killed,
            kept_by_lambda=self._kept,
            kept_by_shipper=spilled,
            redriver_runs=runs,
            lines_redriven=redriven,
            once=sum(held[line] == 1 for line in expected),
            missing=sum(held[line] == 0 for line in expected),
            repeated=sum(held[line] > 1 for line in expected),
            left=len(self._waiting()),
            seconds=time.monotonic() - began,
        )

    def _faults(self, payloads: int) -> dict[int, Callable[[], None]]:
        """Return the fault before each payload, by its number."""
        loki = self._loki

        def limit() -> None:
            loki.override(_TENANT, _LIMITS)

        def kill_and_start() -> None:
            # A new Loki has no limits.
            loki.kill()
            loki.start()

        faults = [loki.kill, loki.start, limit, kill_and_start, loki.stop, loki.start]
        parts = (0.15, 0.25, 0.40, 0.55, 0.75, 0.80)
        return {round(part * payloads): act for part, act in zip(parts, faults, strict=True)}

    def _work(self, payloads: int, faults: dict[int, Callable[[], None]]) -> None:
        with run_function(lambda: self._run_environment(_SHIPPER), self._keep) as function:
            while (number := self._next(payloads, faults)) is not None:
                kill = self._chance.uniform(0, 0.1) if number % _KILLED_EVERY == 0 else None
                self._invoke(function, number, kill)
            with self._lock:
                self._tries += function.tries
                self._kept += function.kept

    def _next(self, payloads: int, faults: dict[int, Callable[[], None]]) -> int | None:
        with self._lock:
            number = self._begun
            if number == payloads:
                return None
            self._begun += 1
            if number in faults:
                faults[number]()
            self._tell(f"soaking: {number} of {payloads} payloads")
            return number

    def _invoke(self, function: AsynchronousFunction, number: int, kill: float | None) -> None:
        data = from_lines(
            _payload_lines(number),
            log_group=f"/soak/{number % _GROUPS}",
            log_stream="soak",
            newest=time.time_ns() // 1_000_000,
        )
        timer = threading.Timer(kill or 0, function.kill)
        if kill is not None:
            timer.start()
        function.invoke(invocation_event(data), deadline_ms=_DEADLINE_MS)
        if kill is not None:
            self._environments_killed += timer.finished.is_set()
            timer.cancel()
            timer.join()

    def _redrive(self) -> tuple[int, int]:
        """Run the redriver until the bucket is empty."""
        lines = 0
        with self._run_environment(_REDRIVER) as redriver:
            for run in range(1, _RUNS + 1):
                result = redriver.invoke({}, deadline_ms=60_000)
                assert isinstance(result, Response), result
                lines += result.payload["lines"]
                if not self._waiting():
                    return run, lines
        return _RUNS, lines

    def _held(self, payloads: int, since: int) -> Counter[str]:
        """Query ten payloads at a time: Loki's answers have at most 4 MiB."""
        minute = 60_000_000_000
        held = Counter[str]()
        for ten in range(-(-payloads // 10)):
            found = query_range(
                self._loki.url,
                f'{{log_group=~"/soak/.+"}} |= "payload {ten:04}"',
                start_ns=since - minute,
                end_ns=time.time_ns() + minute,
                tenant=_TENANT,
            )
            held.update(line.line for line in found)
        return held

    def _run_environment(self, handler: str) -> AbstractContextManager[ExecutionEnvironment]:
        env = {
            "LOKI_URL": self._loki.url,
            "LOKI_TENANT": _TENANT,
            "BUCKET": _BUCKET,
            "TAG_LABELS": "none",
        }
        return run_execution_environment(
            handler,
            paths=self._artifact.paths,
            cwd=self._artifact.function,
            env=self._aws.environ | env,
            alone=True,
        )

    def _keep(self, key: str, body: bytes) -> None:
        self._aws.client("s3").put_object(Bucket=_BUCKET, Key=key, Body=body)

    def _waiting(self) -> list[str]:
        """List the objects, except the cursor that a run saves for the next one."""
        return [key for key in self._keys("") if not key.startswith("redriver/")]

    def _keys(self, prefix: str) -> list[str]:
        pages = self._aws.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=_BUCKET, Prefix=prefix)
        return [each["Key"] for page in found for each in page.get("Contents", [])]


def _payload_lines(number: int) -> list[str]:
    return [f"payload {number:05} line {n:03} {'.' * 100}" for n in range(_LINES)]


def main(arguments: list[str] | None = None) -> int:
    """Soak (`scripts/soak`): exit with 1 unless Loki has every line exactly once."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=main.__doc__)
    parser.add_argument("--lines", type=int, default=50_000, help="default: 50,000")
    parser.add_argument("--seed", type=int, default=1, help="decides the times of the kills")
    options = parser.parse_args(arguments)
    tell = on_stream()
    found = find_executable(os.environ, tell)
    if isinstance(found, NotFound):
        sys.exit(found.why)
    try:
        artifact = build_artifact(os.environ, tell)
        soaked = soak(options.lines, seed=options.seed, artifact=artifact, found=found, tell=tell)
    except (SamBuildError, LokiError) as error:
        sys.exit(str(error))
    tell("")
    for name, value in asdict(soaked).items():
        sys.stdout.write(f"{name.replace('_', ' '):<20}{value:>10,.0f}\n")
    return 0 if soaked.is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
