"""Loki divides a busy stream into shards by itself, and then answers 204 to what it refuses.

Its ingester reports only the error of the last shard of a push. So what is too far behind in
another shard is in neither Loki nor the bucket, unless it never went there. `SHARDING_RUNS=20` runs
the scenario so often; docs/decisions/late.md has the figures.
"""

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from loki_shipper.local.loki import Loki
from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.shipper.delivery.answer import Answer
from loki_shipper.shipper.labels.decide import label_stream
from tests.loki.asking import HOUR, held, now, open_environment, selector
from tests.pipeline.execution_environment import timed

RUNS = int(os.environ.get("SHARDING_RUNS", "1"))
PAYLOADS, LINES = 40, 300
RAISED = {
    "ingestion_rate_mb": 100,
    "ingestion_burst_size_mb": 100,
    "per_stream_rate_limit": "100MB",
    "per_stream_rate_limit_burst": "100MB",
}
DESIRED_RATES = ["1536KB", "800KB", "400KB", "200KB"]
"""Stock Loki's and less, each of which makes more shards; the moment they come is what matters."""


@contextmanager
def busy(loki: Loki, tenant: str, labels: Pairs) -> Iterator[threading.Semaphore]:
    """Keep a stream at 1.6 MB a second, a line a push, so that a push is in one shard only.

    Gives what counts the pushes.
    """
    live = open_environment(loki, tenant)
    stop = threading.Event()
    pushed = threading.Semaphore(0)
    answers = []

    def push() -> None:
        while not stop.wait(0.1):
            line = Entry(time.time_ns(), "live " + "x" * 160_000, (), LogEvent("", 0, ""))
            answers.append(live.session.send(Batch(Stream(tenant, labels), [line]), seconds=10.0))
            pushed.release()

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield pushed
    finally:
        stop.set()
        thread.join()
    assert answers.count(Answer(204)) == len(answers) > 10


@pytest.mark.parametrize("run", range(RUNS))
def test_old_lines_beside_a_busy_stream_are_all_held(
    stock_loki: Loki, tenant: str, run: int
) -> None:
    group = f"/sharding/{run}/{uuid.uuid4().hex}"
    stock_loki.override(tenant, RAISED)
    shipper = open_environment(stock_loki, tenant)
    plain = timed((now(), "live"), log_group=group)
    labels = label_stream(plain, shipper.tags, region="eu-central-1", settings=shipper.settings)
    delivered = 0
    with busy(stock_loki, tenant, labels.stream.labels) as pushed:
        for rate in DESIRED_RATES:
            sharding = {"enabled": True, "desired_rate": rate}
            stock_loki.override(tenant, RAISED | {"shard_streams": sharding})
            for number in range(PAYLOADS // len(DESIRED_RATES)):
                pushed.acquire()
                begin = now() - 2 * HOUR
                lines = ((begin + n, f"old {rate} {number} line {n}") for n in range(LINES))
                delivered += shipper.ship(timed(*lines, log_group=group)).delivered
    old = selector({"log_group": group}) + ' |= "old "'
    there = {line.line for line in held(stock_loki, tenant, old, page=2_000)}
    assert (delivered, len(there)) == (PAYLOADS * LINES, PAYLOADS * LINES)
