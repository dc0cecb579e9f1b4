"""A soak test during changes of LinkMode, of the bucket's key and of Loki's health.

The functions are what `sam build` made, Loki is a real one with stock sharding, S3 is moto behind a
gate that knows keys. CloudWatch Logs is the tests' fake, on a clock of its own that begins a while
ago: it delivers a line by a filter, by the account policy, by both or by neither, as AWS would.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests

from loki_shipper.formats import PUSH_PATH
from loki_shipper.local.aws import LocalAws
from loki_shipper.local.find_loki import Executable, NotFound, find_executable
from loki_shipper.local.progress import Tell
from loki_shipper.local.query_loki import query_range
from loki_shipper.local.runtime_api import Response, run_execution_environment
from loki_shipper.local.sample import invocation_event
from loki_shipper.model import LogData, LogEvent
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.settings import SubscriberSettings
from tests.conftest import not_here
from tests.soak.gate import Gate, run_gate
from tests.subscriber.fake_aws import ACCOUNT, SHIPPER, FakeAws, configured
from tools.artifact import SamArtifact, build_artifact
from tools.asynchronous import AsynchronousFunction, error_payload, run_function
from tools.loki_with_outages import run_loki_with_outages

TENANT = "soak"
LIMITS: dict[str, Any] = {"shard_streams": {"enabled": True, "desired_rate": "1536KB"}}
SLOW = LIMITS | {"ingestion_rate_mb": 0.05, "ingestion_burst_size_mb": 0.05}
SLOW_BURST = 52_429
"""0.05 MB, in bytes."""
TICKS, A_TICK = 4, 60
"""Ticks of a phase, and lines of a log group in a tick."""


class Cloud(FakeAws):
    """CloudWatch Logs: each line that is delivered goes to the shipper, some of them twice."""

    def __init__(
        self, function: AsynchronousFunction, kill: Callable[[], None], chance: random.Random
    ) -> None:
        super().__init__()
        # All of it lies within the last minutes, so that no line is late for its age.
        self.time = time.time() - 900.0
        self.effective_after = 30.0
        self.logged: list[str] = []
        self.kill_at: set[int] = set()
        self._function = function
        self._kill = kill
        self._chance = chance
        self._due: dict[str, list[LogEvent]] = {}
        self._invocations = 0

    def tick(self) -> None:
        """Log some lines to each log group, a second after the last ones, and deliver them."""
        self.pass_time(1.0)
        for name in self.groups:
            for _ in range(A_TICK):
                self._write(name)
        self.deliver()

    def _write(self, name: str) -> None:
        line = f"line {len(self.logged):06} {'.' * 60}"
        self.logged.append(line)
        before = len(self.delivered)
        self.log(name, "stream", line)
        event = self.groups[name]["events"][-1]
        if len(self.delivered) > before:
            sent = LogEvent(event["eventId"], event["timestamp"], line)
            self._due.setdefault(name, []).append(sent)

    def deliver(self) -> None:
        due, self._due = self._due, {}
        for name, events in due.items():
            data = LogData("DATA_MESSAGE", ACCOUNT, name, "stream", events)
            for _ in range(1 + (self._chance.random() < 0.2)):
                self._invocations += 1
                if self._invocations in self.kill_at:
                    self._kill()
                self._function.invoke(invocation_event(data), deadline_ms=9_000)

    def _invoke(self, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        """Ship first lines through the function itself, which may fail."""
        assert (FunctionName, InvocationType) == (SHIPPER, "RequestResponse")
        event = json.loads(Payload)
        result = self._function.invoke_synchronously(event, deadline_ms=9_000)
        if isinstance(result, Response):
            self.shipped.append(event)
            return {"StatusCode": 200, "Payload": body(result.payload)}
        error = error_payload(result, "00000000-0000-0000-0000-000000000000")
        return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": body(error)}


def body(payload: Any) -> BytesIO:
    return BytesIO(json.dumps(payload).encode())


class Soak:
    """The functions, the bucket and Loki, with the changes that the test makes."""

    def __init__(
        self, stack: ExitStack, aws: LocalAws, found: Executable, artifact: SamArtifact, path: Path
    ) -> None:
        self._aws = aws
        self._artifact = artifact
        self.killed = 0
        self.bucket = f"soak-{time.time_ns()}"
        aws.client("s3").create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": aws.region}
        )
        self.gate: Gate = stack.enter_context(run_gate(aws.url, self.bucket))
        self.loki = stack.enter_context(run_loki_with_outages(found, path, lambda _: None))
        self.start_loki()
        self.function = stack.enter_context(
            run_function(lambda: self._sandbox("loki_shipper.shipper.handler.handle"), self._keep)
        )

    def start_loki(self, limits: dict[str, Any] = LIMITS) -> None:
        self.loki.start()
        self.loki.override(TENANT, limits)

    def kill_at_next_push(self) -> None:
        """Kill the function when Loki has its next push, before it gets the answer.

        While there is no Loki: before its connection is closed.
        """

        def kill() -> None:
            self.loki.forwarder.before_answer = lambda: None
            self.killed += 1
            self.function.kill()

        self.loki.forwarder.before_answer = kill

    def wait_for_rate(self, bytes_at_once: int) -> None:
        """Wait until Loki takes so much at once: it reads a tenant's rate every ten seconds."""
        values = [[str(time.time_ns()), "." * bytes_at_once]]
        push = {"streams": [{"stream": {"source": "soak"}, "values": values}]}
        while (status := self._push(push)) != 204:
            assert status == 429
            time.sleep(0.1)

    def _push(self, push: dict[str, Any]) -> int:
        url, tenant = f"{self.loki.url}{PUSH_PATH}", {"X-Scope-OrgID": TENANT}
        return requests.post(url, json=push, headers=tenant, timeout=60).status_code

    def redrive(self) -> dict[str, Any]:
        with self._sandbox("loki_shipper.redriver.handler.handle") as redriver:
            result = redriver.invoke({}, deadline_ms=120_000)
        assert isinstance(result, Response), result
        told: dict[str, Any] = result.payload
        return told

    @property
    def waiting(self) -> list[str]:
        found = self._aws.client("s3").list_objects_v2(Bucket=self.bucket)
        keys = (each["Key"] for each in found.get("Contents", []))
        return [key for key in keys if not key.startswith("redriver/")]

    def held(self) -> Counter[str]:
        now = time.time_ns()
        found = query_range(
            self.loki.url,
            '{source="cloudwatch"}',
            start_ns=now - 3_600_000_000_000,
            end_ns=now + 600_000_000_000,
            tenant=TENANT,
        )
        return Counter(line.line for line in found)

    def _sandbox(self, handler: str) -> Any:
        env = {
            "LOKI_URL": self.loki.url,
            "LOKI_TENANT": TENANT,
            "BUCKET": self.bucket,
            "TAG_LABELS": "none",
        }
        environ = self._aws.environ | {"AWS_ENDPOINT_URL": self.gate.url}
        return run_execution_environment(
            handler,
            paths=self._artifact.paths,
            cwd=self._artifact.function,
            env=environ | env,
            alone=True,
        )

    def _keep(self, key: str, body: bytes) -> None:
        self._aws.client("s3").put_object(Bucket=self.bucket, Key=key, Body=body)


@pytest.fixture
def soak(aws: LocalAws, tmp_path: Path, tell: Tell) -> Iterator[Soak]:
    found = find_executable(os.environ, tell)
    if isinstance(found, NotFound):
        not_here(found.why)
    assert isinstance(found, Executable)
    artifact = build_artifact(os.environ, tell)
    with ExitStack() as stack:
        yield Soak(stack, aws, found, artifact, tmp_path)


def run(
    cloud: Cloud, asked: Sweep | GroupsChanged | StackChanged, settings: SubscriberSettings
) -> RunReport:
    """Run the subscriber, while lines go on being logged."""
    report = respond(asked, cloud.dependencies(settings))
    cloud.deliver()
    return report


def deployed(kind: str) -> StackChanged:
    return StackChanged(kind, "https://answer", {})  # type: ignore[arg-type] # one of the three


def test_every_line_is_in_loki_exactly_once_during_changes(soak: Soak) -> None:
    cloud = Cloud(soak.function, soak.kill_at_next_push, random.Random(1))
    by_group = configured(include=("*",), function_tags=False)
    by_policy = configured(include=("*",), function_tags=False, link_mode="account")

    def phase() -> None:
        for _ in range(TICKS):
            cloud.tick()

    for number in range(3):
        cloud.group(f"/soak/{number}", age=0)
    run(cloud, deployed("Create"), by_group)
    phase()
    run(cloud, Sweep(), by_group)

    # Loki dies; what fails lies under the first key of the bucket, which is then changed.
    cloud.kill_at = {30, 55, 80, 105}
    soak.loki.kill()
    phase()
    soak.gate.denied = set(soak.waiting)
    assert len(soak.gate.denied) > 3
    phase()

    # From filters to the account policy in the middle of it, and a log group comes.
    assert run(cloud, deployed("Update"), by_policy).policy_failure is None
    phase()
    run(cloud, Sweep(), by_policy)
    assert cloud.linked == {}
    cloud.group("/soak/young", age=0)
    phase()
    report = run(cloud, GroupsChanged(("/soak/young",)), by_policy)
    assert [(each.group, each.step) for each in report.failed] == [("/soak/young", "first_lines")]

    # Loki is back, and slow; what lies under the former key cannot be read.
    soak.start_loki(SLOW)
    redriven = soak.redrive()
    assert redriven["faults"] == {"AccessDenied": len(soak.gate.denied)}
    assert redriven["lines"] > 0
    run(cloud, GroupsChanged(("/soak/young",)), by_policy)
    phase()

    # Back to filters, while Loki is slow for some seconds more.
    soak.loki.override(TENANT, LIMITS)
    run(cloud, deployed("Update"), by_group)
    phase()
    run(cloud, Sweep(), by_group)
    assert (len(cloud.linked), cloud.policy) == (4, None)
    phase()

    # Loki is well, and the former key is named: what is left comes.
    soak.wait_for_rate(SLOW_BURST + 1_000)
    report = run(cloud, Sweep(), by_group)
    assert (report.failed, report.waiting, report.behind) == ([], 0, [])
    soak.gate.denied = set()
    while soak.waiting:
        redriven = soak.redrive()
        assert redriven["objects"] > 0, redriven

    held = soak.held()
    assert [line for line in cloud.logged if held[line] != 1] == []
    assert held.total() == len(cloud.logged) > 6_000
    assert soak.killed == len(cloud.kill_at)
    assert soak.gate.refused > 0
    assert soak.function.kept > 0
