"""The drill: functions log all the time, and Loki is down for two hours. The time is simulated."""

import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial

from loki_shipper.local.loki import Loki
from loki_shipper.local.sample import Call, invocation_event, log_data
from loki_shipper.model import Batch
from loki_shipper.settings import settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.credentials import credentials
from loki_shipper.shipper.delivery.session import LokiSession
from tests.drill.cloud import MINUTE, Cloud

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
