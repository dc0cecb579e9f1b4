"""After an outage everything is in Loki, in order: functions, bucket and Loki as they are."""

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from loki_shipper.local.aws import LocalAws
from loki_shipper.local.find_loki import Executable, Image, NotFound, Running, find_loki
from loki_shipper.local.loki import Loki
from loki_shipper.local.progress import Tell
from loki_shipper.local.query_loki import LokiLine, query_range
from loki_shipper.local.runtime_api import (
    Died,
    ExecutionEnvironment,
    Response,
    run_execution_environment,
)
from loki_shipper.local.sample import from_lines, invocation_event
from tests.conftest import not_here
from tools.asynchronous import on_failure, run_function
from tools.loki_with_outages import LokiWithOutages, run_loki_with_outages

SHIPPER = "loki_shipper.shipper.handler.handle"
REDRIVER = "loki_shipper.redriver.handler.handle"
KILLED = Died(-signal.SIGKILL)
MINUTE = timedelta(minutes=1)

type Run = Callable[..., AbstractContextManager[ExecutionEnvironment]]


class Store:
    """A bucket of the test's own."""

    def __init__(self, aws: LocalAws) -> None:
        self.name = f"bucket-{uuid.uuid4().hex}"
        self._s3 = aws.client("s3")
        location = {"LocationConstraint": aws.region}
        self._s3.create_bucket(Bucket=self.name, CreateBucketConfiguration=location)

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self.name, Key=key, Body=body)

    @property
    def keys(self) -> list[str]:
        """List what is kept, without what a run leaves for the next one."""
        listed = self._s3.list_objects_v2(Bucket=self.name)
        keys = [each["Key"] for each in listed.get("Contents", [])]
        return [key for key in keys if not key.startswith("redriver/")]


@pytest.fixture
def store(aws: LocalAws) -> Store:
    return Store(aws)


@pytest.fixture
def run(aws: LocalAws, store: Store, tenant: str) -> Run:
    """Run a function of the stack, with the bucket and a tenant of the test's own."""

    def run(handler: str, loki_url: str) -> AbstractContextManager[ExecutionEnvironment]:
        env = {"LOKI_URL": loki_url, "LOKI_TENANT": tenant, "BUCKET": store.name}
        return run_execution_environment(handler, env=aws.environ | env | {"TAG_LABELS": "none"})

    return run


@pytest.fixture
def outages(tmp_path: Path, tell: Tell) -> Iterator[LokiWithOutages]:
    """A real Loki that is down until it is started."""
    ours = {name: value for name, value in os.environ.items() if name != "LOKI_URL"}
    found = find_loki(ours, tell)
    if isinstance(found, NotFound):
        not_here(found.why)
    assert isinstance(found, Executable | Image)
    with run_loki_with_outages(found, tmp_path / "loki", tell) as loki:
        yield loki


def payload(group: str, *lines: str, at: datetime | None = None) -> dict[str, Any]:
    newest = int((at or datetime.now(UTC)).timestamp() * 1000)
    data = from_lines(lines, log_group=group, log_stream="stream", newest=newest)
    return invocation_event(data)


def held(url: str, tenant: str, group: str) -> list[LokiLine]:
    now = time.time_ns()
    return query_range(
        url,
        f'{{log_group="{group}"}}',
        start_ns=now - 3 * 3_600_000_000_000,
        end_ns=now + 60_000_000_000,
        tenant=tenant,
        limit=5_000,
    )


def redrive(environment: ExecutionEnvironment) -> dict[str, Any]:
    result = environment.invoke({})
    assert isinstance(result, Response), result
    answer: dict[str, Any] = result.payload
    return answer


def test_what_failed_while_loki_was_down_is_there_when_it_is_back(
    run: Run, store: Store, outages: LokiWithOutages, tenant: str
) -> None:
    expected = [f"line {n}" for n in range(9)]
    with run_function(lambda: run(SHIPPER, outages.url), store.put) as shipper:
        for n in range(0, 9, 3):
            shipper.invoke(payload("/ecs/shop", *expected[n : n + 3]), deadline_ms=9_000)
    assert (shipper.tries, shipper.kept) == (9, 3)
    waiting = store.keys
    with run(REDRIVER, outages.url) as redriver:
        answer = redrive(redriver)
        assert (answer["objects"], answer["left"]) == (0, 3)
        assert store.keys == waiting
        outages.start()
        answer = redrive(redriver)
    assert (answer["objects"], answer["lines"], answer["left"]) == (3, 9, 0)
    assert store.keys == []
    assert [line.line for line in held(outages.url, tenant, "/ecs/shop")] == expected


def test_an_execution_environment_that_is_killed_loses_nothing(
    run: Run, store: Store, loki: Loki | Running, tenant: str, tmp_path: Path
) -> None:
    (tmp_path / "killed.py").write_text(
        "import os, signal\ndef handle(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with run_function(
        lambda: run_execution_environment("killed.handle", paths=[tmp_path]), store.put
    ) as shipper:
        assert shipper.invoke(payload("/ecs/shop", "a line")) == Died(-signal.SIGKILL)
    assert shipper.tries == 3
    with run(REDRIVER, loki.url) as redriver:
        assert redrive(redriver)["lines"] == 1
    assert [line.line for line in held(loki.url, tenant, "/ecs/shop")] == ["a line"]


def test_a_two_hour_outage_ends_in_the_right_places(
    run: Run, store: Store, stock_loki: Loki, tenant: str
) -> None:
    now = datetime.now(UTC)
    ages = [age * MINUTE for age in range(120, 0, -5) if age != 60]
    for age in ages:
        event = payload("/ecs/shop", f"{age} one", f"{age} two", at=now - age)
        store.put(*on_failure(event, KILLED, now - age + MINUTE))
    with run(SHIPPER, stock_loki.url) as shipper:
        # Loki is back, and the live lines are there before the redriver.
        assert isinstance(shipper.invoke(payload("/ecs/shop", "live")), Response)
    with run(REDRIVER, stock_loki.url) as redriver:
        answer = redrive(redriver)
    assert (answer["objects"], answer["lines"], answer["left"]) == (23, 46, 0)
    assert (answer["rejected"], store.keys) == (0, [])
    lines = held(stock_loki.url, tenant, "/ecs/shop")
    expected = [f"{age} {word}" for age in ages for word in ("one", "two")]
    assert [line.line for line in lines] == [*expected, "live"]
    late = [line.line for line in lines if "late" in line.labels]
    assert late == expected[: len(late)]
    # Beyond three quarters of an hour, give or take a line of just that age.
    assert len(late) in {28, 30, 32}


def test_what_loki_refuses_for_good_is_set_aside_and_counted(
    run: Run, store: Store, stock_loki: Loki
) -> None:
    now = datetime.now(UTC)
    store.put(*on_failure(payload("/ecs/shop", "old", at=now - timedelta(days=8)), KILLED, now))
    store.put(*on_failure(payload("/ecs/shop", "new"), KILLED, now))
    store.put("failed/2026/11/20/2026-11-20T00.00.00-x.json", b"\x00 not a record")
    with run(REDRIVER, stock_loki.url) as redriver:
        answer = redrive(redriver)
    assert (answer["objects"], answer["lines"], answer["rejected"]) == (2, 1, 1)
    assert answer["set_aside"] == 1
    assert [key.split("/")[0] for key in store.keys] == ["rejected", "rejected"]


def test_the_log_and_the_metrics_of_a_run_hold_counts_by_log_group_and_no_lines(
    run: Run, store: Store, loki: Loki | Running
) -> None:
    store.put(*on_failure(payload("/ecs/shop", "a line of a user"), KILLED, datetime.now(UTC)))
    with run(REDRIVER, loki.url) as redriver:
        redrive(redriver)
        log = "\n".join(redriver.log_lines)
    assert '"ObjectsRedriven":1,' in log
    assert '"OldestAge":0.0' in log
    assert '"message":"redriven"' in log
    assert "a line of a user" not in log
    assert '"hourly":{"account":"' in log
    assert '"log_group":"/ecs/shop","hour":' in log


def test_without_a_bucket_it_says_so(loki: Loki | Running) -> None:
    with run_execution_environment(REDRIVER, env={"LOKI_URL": loki.url}) as redriver:
        result = redriver.invoke({})
    assert getattr(result, "error_message", "").startswith("BUCKET is not set")
