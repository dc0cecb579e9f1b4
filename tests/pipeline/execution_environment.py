"""The deployed pipeline on real sockets; it checks after each invocation that no line is lost."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from loki_shipper.local.pushes import Push
from loki_shipper.local.receiver import Receiver
from loki_shipper.local.sample import Call, invocation_event, log_data
from loki_shipper.model import LogData
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.delivery.credentials import FetchSecret, credentials
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.delivery.outcome import Report
from loki_shipper.shipper.delivery.session import LokiSession
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.pipeline import ShipperDependencies, pipeline
from loki_shipper.shipper.rules.parse import default_rules
from loki_shipper.shipper.sources.event import records

RESERVE = 8.0
"""Seconds that the handler keeps back; a busy machine may use some, never all of them."""

STEP = 10_000
NEWEST = 1_795_204_800_000
"""2026-11-20T20:00:00Z, when the last line was logged; the others are `STEP` ms apart."""


def no_secret(_reference: str) -> str:
    """Fail, where a test has no secret store."""
    raise AssertionError


class ExecutionEnvironment:
    """One execution environment: a session with Loki, a bucket, and a clock that `sleep` moves.

    With `real_sleep` it really sleeps, for a Loki with its own clock; `now` is in ms.
    """

    def __init__(  # noqa: PLR0913 - they are what a test may change
        self,
        url: str,
        *,
        receiver: Receiver | None,
        environ: Mapping[str, str] | None = None,
        fetch: FetchSecret = no_secret,
        one_line_a_batch: bool = False,
        seconds: float = 40.0,
        real_sleep: bool = False,
        now: Callable[[], int] = lambda: NEWEST,
        late_minutes: int = 30,
    ) -> None:
        self.receiver = receiver
        self.bucket: dict[str, bytes] | None = {}
        self.bucket_is_down = False
        self.slept: list[float] = []
        self.tags: Mapping[str, str] = {"team": "payments"}
        self.rule_state = RuleState(default_rules(), {})
        read = settings({"LOKI_URL": url, **(environ or {})})
        self.settings: Settings = replace(read, max_batch_bytes=1) if one_line_a_batch else read
        self.session = LokiSession(lambda *, fresh: credentials(read, fetch), self._now)  # noqa: ARG005 - as Session calls it
        self._seconds = seconds
        self._real_sleep = real_sleep
        self._clock = now
        self._late_minutes = late_minutes
        self._tenants_without_metadata: set[str | None] = set()

    def ship(self, data: LogData) -> Report:
        """Run one invocation on a payload."""
        return self.invoke(invocation_event(data))

    def invoke(self, event: Any) -> Report:
        """Run one invocation, and check its report, its end in time and the place of each line."""
        end = self._now() + self._seconds
        delivery = DeliveryEffects(
            send=lambda batch: self.session.send(batch, seconds=end - self._now()),
            remaining=lambda: end - self._now(),
            now=lambda: self._clock() * 1_000_000,
            sleep=self._sleep,
            jitter=lambda longest: longest,
            renew=self.session.renew,
            tenants_without_metadata=self._tenants_without_metadata,
            late_minutes=self._late_minutes,
        )
        deps = ShipperDependencies(
            settings=self.settings,
            rule_state=self.rule_state,
            account=None,
            region="eu-central-1",
            own_log_group=None,
            tags=lambda _: LogGroupTags(self.tags),
            delivery=delivery,
            put=None if self.bucket is None else self._put,
        )
        report = pipeline(event, deps)
        assert self._now() < end + RESERVE
        self._check(_data(event), report)
        return report

    def kept(self, folder: str) -> list[str]:
        """List the lines in a folder of the bucket."""
        return [
            event.message
            for key, body in (self.bucket or {}).items()
            if key.startswith(folder)
            for event in _data(json.loads(body)["requestPayload"]).log_events
        ]

    def _check(self, data: LogData, report: Report) -> None:
        """Find each line in Loki, in the bucket, or in an event that Lambda retries."""
        dropped, rejected, deferred, errored = (
            sum(counts.values())
            for counts in (report.dropped, report.rejected, report.deferred, report.errored)
        )
        assert report.received == len(data.log_events)
        assert report.received == report.delivered + dropped + rejected + deferred + errored
        assert 0 <= report.late <= report.delivered
        if self.bucket is not None and not self.bucket_is_down:
            assert len(self.kept("rejected/")) == rejected
            assert len(self.kept("later/")) == deferred
            assert len(self.kept("failed/")) == (errored if report.failure is None else 0)
            assert bool(report.failure) == bool(errored and not report.delivered)
        else:
            assert bool(report.failure) >= bool(errored)
        if self.receiver is not None:
            lines = Counter(event.message for event in data.log_events if event.message)
            away = Counter(self.kept("")) if report.failure is None else lines
            held = Counter(entry.line for _, entry in self.receiver.held())
            if self.bucket is not None or report.failure is not None:
                assert not lines - away - held

    def _put(self, key: str, body: bytes) -> None:
        if self.bucket_is_down:
            raise DeadLetterError("the bucket cannot be written: ClientError")
        assert self.bucket is not None
        self.bucket[key] = body

    def _now(self) -> float:
        return time.monotonic() + sum(self.slept)

    def _sleep(self, seconds: float) -> None:
        if self._real_sleep:
            time.sleep(seconds)
        else:
            self.slept.append(seconds)


def _data(event: Any) -> LogData:
    [data] = records(event)
    return data


def lines(*messages: str, newest: int = NEWEST, step: int = STEP) -> LogData:
    """Give a payload of lines, `step` ms apart, the last one at `newest`."""
    oldest = newest - step * (len(messages) - 1)
    return timed(*((oldest + step * number, message) for number, message in enumerate(messages)))


def timed(*logged: tuple[int, str], log_group: str = "/aws/lambda/fun") -> LogData:
    """Give a payload of lines with their times in ms."""
    return log_data(log_group, "s", [Call(max(when for when, _ in logged), [*logged])])


def has(line: str) -> Callable[[Push], bool]:
    """Tell whether a push carries this line."""
    return lambda push: any(entry.line == line for entry in push.entries)
