"""A Loki in memory, and the effects of one push to it."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from loki_shipper.google.settings import GoogleSettings
from loki_shipper.google.ship import GoogleDependencies
from loki_shipper.model import Batch
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.rules.parse import default_rules, parse_rules
from tests.google.logged import AT_NS


class LokiInMemory(Struct):
    """A Loki that answers as it is told, and keeps the batches."""

    answer: Callable[[Batch], Answer | NoAnswer] = lambda _: Answer(204)
    batches: list[Batch] = []

    def send(self, batch: Batch) -> Answer | NoAnswer:
        """Keep a batch and answer."""
        self.batches.append(batch)
        return self.answer(batch)

    def deps(
        self,
        rules: str | None = None,
        google: GoogleSettings | None = None,
        remaining: Callable[[], float] = lambda: 60.0,
        **settings: Any,
    ) -> GoogleDependencies:
        """Give the effects of one push; `rules` is a rules file."""
        return GoogleDependencies(
            Settings(loki_url="http://loki", **settings),
            google or GoogleSettings(),
            RuleState(default_rules() if rules is None else parse_rules(rules), {}),
            DeliveryEffects(
                send=self.send,
                remaining=remaining,
                now=lambda: AT_NS,
                sleep=lambda _: None,
                jitter=lambda _: 0.0,
                renew=lambda: False,
                tenants_without_metadata=set(),
                late_minutes=30,
            ),
        )
