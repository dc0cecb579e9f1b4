"""What surrounds the functions, in simulated time: Lambda's retries, schedules, alarms."""

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from loki_shipper.local.runtime_api import FunctionError
from loki_shipper.model import Batch
from loki_shipper.redriver.bucket import EVERYTHING, waiting
from loki_shipper.redriver.cursor import read_cursor, write_cursor
from loki_shipper.redriver.effects import redrive_effects
from loki_shipper.redriver.metrics import metrics as redriver_metrics
from loki_shipper.redriver.redrive import redrive
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.delivery.outcome import Report
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.metrics import metrics as shipper_metrics
from loki_shipper.shipper.pipeline import ShipperDependencies, pipeline
from loki_shipper.shipper.rules.model import Rules
from tests.redriver.memory import MemoryBucket
from tools.asynchronous import on_failure

MINUTE = timedelta(minutes=1)
RETRIES = (MINUTE, 2 * MINUTE)
"""How long Lambda waits before each of its two retries."""

type Metric = tuple[str, str]
type Series = list[tuple[datetime, float]]


class Cloud:
    """Runs the shipper and the redriver as AWS does, and measures as they and AWS do.

    `push` is the way to Loki. Sleeping takes no time of ours, and all of the invocation's.
    """

    def __init__(
        self, settings: Settings, push: Callable[[Batch], Answer | NoAnswer], now: datetime
    ) -> None:
        self.now = now
        self.bucket = MemoryBucket()
        self.series: defaultdict[Metric, Series] = defaultdict(list)
        self._settings = settings
        self._push = push
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: datetime, act: Callable[[], None]) -> None:
        """Do something at a time that is still to come."""
        heapq.heappush(self._due, (when, next(self._order), act))

    def run(self, until: datetime) -> None:
        """Let the time pass."""
        while self._due and self._due[0][0] <= until:
            self.now, _, act = heapq.heappop(self._due)
            act()
        self.now = until

    def invoke(self, event: Any, retries: tuple[timedelta, ...] = RETRIES) -> None:
        """Invoke the shipper as CloudWatch Logs does: it is tried three times, then kept."""
        report = self.ship(event)
        if report.failure is None:
            return
        if retries:
            self.at(self.now + retries[0], lambda: self.invoke(event, retries[1:]))
            return
        result = FunctionError(report.failure, "DeliveryError", [])
        self.bucket.put(*on_failure(event, result, self.now), written=self.now)
        self._measure("AWS/Lambda", [("AsyncEventsDropped", "Count", 1)])

    def ship(self, event: Any) -> Report:
        """Run one invocation of the shipper."""
        report = pipeline(event, self._around(seconds=115.0))
        self._measure("LokiShipper", shipper_metrics(report, now=self.now.timestamp()))
        return report

    def redrive(self) -> None:
        """Run the redriver as its schedule does."""
        bucket = self.bucket.bucket()
        before = read_cursor(bucket, EVERYTHING)
        needed = redrive_effects(
            self._around(seconds=282.0),
            bucket,
            workers=1,
            clock=self.now.timestamp,
            now=self.now,
        )
        objects = waiting(bucket, self.now, share=EVERYTHING, after=before.after)
        run = redrive(objects, needed, cursor=before)
        write_cursor(before, run.cursor, EVERYTHING, needed.put)
        self._measure("LokiShipper", redriver_metrics(run, now=self.now))

    def _around(self, seconds: float) -> ShipperDependencies:
        slept: list[float] = []
        delivery = DeliveryEffects(
            send=self._push,
            remaining=lambda: seconds - sum(slept),
            now=lambda: int(self.now.timestamp() * 1e9),
            sleep=slept.append,
            jitter=lambda longest: longest,
            renew=lambda: False,
            tenants_without_metadata=set(),
            late_minutes=30,
        )
        return ShipperDependencies(
            settings=self._settings,
            rule_state=RuleState(Rules(), {}),
            account=None,
            region="eu-central-1",
            own_log_group=None,
            tags=lambda _: LogGroupTags({"team": "shop"}),
            delivery=delivery,
            put=lambda key, body: self.bucket.put(key, body, self.now),
        )

    def _measure(self, namespace: str, values: Iterable[tuple[str, str, float]]) -> None:
        for name, _, value in values:
            self.series[namespace, name].append((self.now, value))


def alarmed(
    alarm: Mapping[str, Any], series: Mapping[Metric, Series], start: datetime, end: datetime
) -> list[datetime]:
    """Give the minutes in which an alarm of the template is in ALARM, as CloudWatch evaluates it.

    An alarm on a query is not evaluated: what it asks for are CloudWatch Logs' own metrics.
    """
    if "Metrics" in alarm:
        return []
    values = series.get((alarm["Namespace"], alarm["MetricName"]), [])
    found, state = [], False
    minute = start
    while minute < end:
        state = _breaches(alarm, values, minute, before=state)
        found += [minute] if state else []
        minute += MINUTE
    return found


def _breaches(alarm: Mapping[str, Any], values: Series, now: datetime, *, before: bool) -> bool:
    period = timedelta(seconds=alarm["Period"])
    silence = {"breaching": True, "notBreaching": False, "ignore": before, "missing": False}
    points = []
    for n in range(alarm["EvaluationPeriods"]):
        end = now - n * period
        seen = [value for when, value in values if end - period < when <= end]
        over = _statistic(alarm, seen) > alarm["Threshold"] if seen else None
        points.append(silence[alarm["TreatMissingData"]] if over is None else over)
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold" or not values
    return all(points)


def _statistic(alarm: Mapping[str, Any], seen: list[float]) -> float:
    match alarm:
        case {"ExtendedStatistic": str(percentile)}:
            rank = math.ceil(len(seen) * float(percentile.removeprefix("p")) / 100)
            return sorted(seen)[rank - 1]
        case {"Statistic": "Sum"}:
            return sum(seen)
        case {"Statistic": "Maximum"}:
            return max(seen)
        case {"Statistic": "Minimum"}:
            return min(seen)
        case other:
            raise AssertionError(other)
