"""The drill of docs/operating.md: Loki is down for two hours, and recovery needs no action.

The time is simulated, Loki is real: it decides what is too far behind, and what it holds counts.
"""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # it ships no types

from loki_shipper.local.loki import Loki
from loki_shipper.local.query_loki import query_range
from loki_shipper.local.sample import Call, invocation_event, log_data
from loki_shipper.model import Batch
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.session import LokiSession
from tests.drill.cloud import MINUTE, Cloud, alarmed

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
GROUPS = ("/ecs/shop", "/aws/lambda/checkout", "/aws/lambda/report")
EVERY = 5 * MINUTE
HOUR = 60 * MINUTE
BEFORE, DOWN, AFTER = 2 * EVERY, 2 * HOUR, 4 * EVERY
"""Two hours and a half in all: of older lines Loki asks its store, where they are not yet."""


class Drill:
    """Two hours of an outage and what is around them; `sent` counts lines by log group."""

    def __init__(self, loki: Loki, tenant: str) -> None:
        self.end = datetime.now(UTC).replace(microsecond=0)
        self.up_again = self.end - AFTER
        self.down = self.up_again - DOWN
        self.start = self.down - BEFORE
        self.sent: Counter[tuple[str, str]] = Counter()
        read = settings({"LOKI_URL": loki.url, "LOKI_TENANT": tenant, "BUCKET": "bucket"})
        self._session = LokiSession(
            lambda *, fresh: credentials(read, _no_secret),  # noqa: ARG005 - there is none to read
            time.monotonic,
        )
        self.cloud = Cloud(read, self._push, self.start)

    def run(self) -> None:
        """Log all the while; the last ten minutes are for the rest to arrive."""
        minute = self.start
        while minute < self.end:
            if minute < self.end - 2 * EVERY:
                for group in GROUPS:
                    self.cloud.at(minute, partial(self._log, group))
            # After the new lines, so that the old ones are too far behind them.
            self.cloud.at(minute, self.cloud.redrive)
            minute += EVERY
        self.cloud.run(self.end)

    def _log(self, group: str) -> None:
        now = int(self.cloud.now.timestamp() * 1000)
        lines = [(now - 40_000 * n, f"{group} at {now - 40_000 * n}") for n in range(6)]
        self.sent.update((group, line) for _, line in lines)
        self.cloud.invoke(invocation_event(log_data(group, "stream", [Call(now, lines)])))

    def _push(self, batch: Batch) -> Answer | NoAnswer:
        if self.down <= self.cloud.now < self.up_again:
            return NoAnswer("no_connection")
        return self._session.send(batch, seconds=10.0)


def _no_secret(_reference: str) -> str:
    raise AssertionError


@pytest.fixture(scope="module")
def alarms() -> dict[str, dict[str, Any]]:
    template, faults = decode(str(TEMPLATE))
    assert faults == []
    resources: dict[str, dict[str, Any]] = template["Resources"]
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def held(loki: Loki, tenant: str, drill: Drill) -> Counter[tuple[str, str]]:
    lines = query_range(
        loki.url,
        '{team="shop"}',
        start_ns=int((drill.start - HOUR).timestamp() * 1e9),
        end_ns=int((drill.end + HOUR).timestamp() * 1e9),
        tenant=tenant,
        limit=5_000,
    )
    return Counter((line.labels["log_group"], line.line) for line in lines)


def test_after_two_hours_without_loki_every_line_is_there_once_and_alarms_were_raised(
    stock_loki: Loki, tenant: str, alarms: dict[str, dict[str, Any]]
) -> None:
    drill = Drill(stock_loki, tenant)
    drill.run()
    assert {key.partition("/")[0] for key in drill.cloud.bucket.objects} <= {"redriver"}
    assert len(drill.sent) == drill.sent.total() > 400
    assert held(stock_loki, tenant, drill) == drill.sent

    series = drill.cloud.series
    told = {name: alarmed(alarm, series, drill.start, drill.end) for name, alarm in alarms.items()}
    told.pop("NotSwept")  # there is no subscriber in this drill
    assert {name for name, minutes in told.items() if minutes} == {"NotDelivered", "NotRedriven"}
    assert drill.down < told["NotDelivered"][0] <= drill.down + 10 * MINUTE
    assert drill.down + HOUR < told["NotRedriven"][0] <= drill.down + HOUR + 15 * MINUTE
    assert max(told["NotDelivered"][-1], told["NotRedriven"][-1]) <= drill.up_again + 15 * MINUTE
    late = sum(value for _, value in series["LokiShipper", "LinesLate"])
    assert late > 0, "Loki was not down for long enough to need the late stream"


def test_without_an_outage_no_alarm_is_raised(
    stock_loki: Loki, tenant: str, alarms: dict[str, dict[str, Any]]
) -> None:
    drill = Drill(stock_loki, tenant)
    drill.down = drill.up_again = drill.end + timedelta(days=1)
    drill.run()
    assert held(stock_loki, tenant, drill) == drill.sent
    series = drill.cloud.series
    told = {name: alarmed(alarm, series, drill.start, drill.end) for name, alarm in alarms.items()}
    assert {name for name, minutes in told.items() if minutes} <= {"NotSwept"}
