"""A Kinesis stream whose records, function and Loki fail: each good line is in Loki once."""

import base64
import gzip
import json
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.local.runtime_api import Died, InvocationOutcome, Response
from loki_shipper.local.sample import Call, kinesis_event, log_data
from loki_shipper.model import Batch, LogData
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.outcome import Report
from loki_shipper.shipper.delivery.session import LokiSession
from loki_shipper.template import read_template
from tests.drill.cloud import Cloud
from tests.loki.asking import held
from tests.pipeline.execution_environment import no_secret
from tools.event_source_mapping import ShardReader, mapping_settings

TEMPLATE = read_template(Path(__file__).parents[2] / "template.yaml")
RECORDS = 10_000
BATCH = 100
GROUPS = 5
STREAMS = 20
"""Log streams of a log group."""

MINUTE = timedelta(minutes=1)
OUTAGE = (20 * MINUTE, 55 * MINUTE)
"""Loki is down for a third of the time: longer than a shard waits."""

KILLED = {7, 12, 110}
"""Invocations in which the function is killed after its second push."""

TOO_LARGE = b" " * (33 * 1024 * 1024)
BAD = {
    1_234: "?",
    4_321: base64.b64encode(gzip.compress(b'{"hello": "stranger"}')).decode(),
    9_876: base64.b64encode(gzip.compress(TOO_LARGE)).decode(),
}
"""Records that can never be shipped: poison, of an unknown shape, too large."""


class KilledError(BaseException):
    """Raised to end the function in the middle, as the kernel does."""


class Function:
    """The function for the stream, in simulated time, with a real Loki that is down at times."""

    def __init__(self, url: str, tenant: str, start: datetime) -> None:
        configured = settings({"LOKI_URL": url, "LOKI_TENANT": tenant})
        access = credentials(configured, no_secret)
        self._session = LokiSession(lambda *, fresh: access, time.monotonic)  # noqa: ARG005 - nothing is cached
        self._down = [start + each for each in OUTAGE]
        self._pushes = 0
        self.reports = list[Report]()
        self.invocations = 0
        self.killed = 0
        self.cloud = Cloud(configured, self._push, start)

    def invoke(self, event: Any) -> InvocationOutcome:
        self.invocations += 1
        self._pushes = 0
        self.sleep(5.0)
        try:
            report = self.cloud.ship(event)
        except KilledError:
            self.killed += 1
            return Died(-9)
        self.reports.append(report)
        return Response({"batchItemFailures": [{"itemIdentifier": each} for each in report.retry]})

    def sleep(self, seconds: float) -> None:
        self.cloud.now += timedelta(seconds=seconds)

    def _push(self, batch: Batch) -> Answer | NoAnswer:
        if self._down[0] <= self.cloud.now < self._down[1]:
            return NoAnswer("no_connection")
        self._pushes += 1
        if self.invocations in KILLED and self._pushes > 2:
            raise KilledError
        return self._session.send(batch, seconds=30.0)


def stream(start: datetime) -> tuple[list[Any], dict[tuple[str, str], list[str]]]:
    """Give the records, a hundred a minute, and the lines of each log stream in their order."""
    payloads: list[LogData] = []
    logged: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for number in range(RECORDS):
        when = int((start + MINUTE * number / BATCH).timestamp() * 1000)
        group = f"/kinesis/{number % GROUPS}"
        log_stream = f"s{number // GROUPS % STREAMS}"
        lines = [(when + n, f"record {number:05} line {n}") for n in range(2)]
        payloads.append(log_data(group, log_stream, [Call(when + 400, lines)]))
        if number not in BAD:
            logged[group, log_stream] += [line for _, line in lines]
    records = kinesis_event(payloads)["Records"]
    for number, data in BAD.items():
        records[number]["kinesis"]["data"] = data
    return records, dict(logged)


def test_each_good_line_is_held_once_and_in_order(loki: Loki | Running, tenant: str) -> None:
    start = datetime.now(UTC) - timedelta(hours=3)
    function = Function(loki.url, tenant, start)
    cloud = function.cloud
    mapping = mapping_settings(
        TEMPLATE["Resources"]["KinesisMapping"]["Properties"], batch_size=BATCH
    )
    reader = ShardReader(
        mapping,
        function.invoke,
        lambda key, body: cloud.bucket.put(key, body, cloud.now),
        now=lambda: cloud.now,
        sleep=function.sleep,
    )
    records, logged = stream(start)
    reader.read(records)

    # The faults took place.
    assert function.killed == len(KILLED)
    assert 0 < reader.given_up < RECORDS / 4
    assert function.invocations > RECORDS / BATCH
    # No shard waits longer than a record may wait, and one more invocation takes.
    assert reader.longest_delay <= mapping.max_age + MINUTE
    for report in function.reports:
        others = (report.dropped, report.rejected, report.deferred, report.errored)
        assert report.received == report.delivered + sum(sum(each.values()) for each in others)

    while any(not key.startswith("rejected/") for key in cloud.bucket.objects):
        before = {*cloud.bucket.objects}
        function.sleep(300.0)
        cloud.redrive()
        assert {*cloud.bucket.objects} != before

    found = held(loki, tenant)
    assert Counter(line.line for line in found) == Counter(
        line for lines in logged.values() for line in lines
    )
    order: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for line in found:
        order[line.labels["log_group"], line.metadata["log_stream"]].append(line.line)
    assert dict(order) == logged
    kept = [
        json.loads(body)["requestPayload"]["Records"] for body, _ in cloud.bucket.objects.values()
    ]
    numbers = sorted(record["kinesis"]["sequenceNumber"] for batch in kept for record in batch)
    assert numbers == [records[number]["kinesis"]["sequenceNumber"] for number in sorted(BAD)]
