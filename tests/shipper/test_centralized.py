"""Lines of centralized log groups have the labels, tags and tenant of their source."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from loki_shipper.local.sample import invocation_event
from loki_shipper.model import OWN_TAG, Batch, LogData, LogEvent, LogSource
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.delivery.outcome import Report
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.pipeline import ShipperDependencies, pipeline
from loki_shipper.shipper.rules.parse import parse_rules

NOW = 1_795_206_163_123
HERE, A, B = "999999999999", "111111111111", "222222222222"
CENTRAL, SHOP = "/central/shop", "/ecs/shop"
TAGS = {
    LogSource(A, "eu-west-1", SHOP): {"team": "a", "tenant": "team-a"},
    LogSource(A, "us-east-1", SHOP): {"team": "a-us", "tenant": "team-a"},
    LogSource(B, "eu-west-1", SHOP): {"team": "b", "tenant": "team-b"},
    LogSource(HERE, "eu-central-1", CENTRAL): {"team": "hub", "tenant": "hub"},
    LogSource(B, "eu-west-1", "/aws/lambda/shipper-of-b"): {OWN_TAG: "loki-shipper"},
}
LISTED = ((A, ("team-a",)), (B, ("team-b",)))


class Hub:
    """A shipper of the account that lines are copied to, a Loki, and a bucket."""

    def __init__(self, *, tags: Mapping[LogSource, Mapping[str, str]] = TAGS) -> None:
        self.answer = Answer(204)
        self.batches: list[Batch] = []
        self.bucket: dict[str, bytes] = {}
        self.tags = tags
        self.rules = ""
        self.settings = Settings(
            loki_url="http://loki", tenant_tag="tenant", account_tenants=LISTED
        )

    def ship(self, event: Any) -> Report:
        self.batches = []
        return pipeline(
            event,
            ShipperDependencies(
                settings=self.settings,
                rule_state=RuleState(parse_rules(self.rules), {}),
                account=HERE,
                region="eu-central-1",
                own_log_group="/aws/lambda/shipper",
                tags=lambda source: LogGroupTags(self.tags.get(source, {})),
                delivery=DeliveryEffects(
                    send=self._send,
                    remaining=lambda: 60.0,
                    now=lambda: NOW * 1_000_000,
                    sleep=lambda _: None,
                    jitter=lambda _: 0.0,
                    renew=lambda: False,
                    tenants_without_metadata=set(),
                    late_minutes=30,
                ),
                put=self.bucket.__setitem__,
            ),
        )

    def _send(self, batch: Batch) -> Answer:
        self.batches.append(batch)
        return self.answer

    def streams(self) -> dict[str, tuple[str | None, dict[str, str]]]:
        """Give tenant and labels of each line that was pushed."""
        return {
            entry.line: (batch.stream.tenant, dict(batch.stream.labels))
            for batch in self.batches
            for entry in batch.entries
        }


def line(text: str, account: str, region: str = "eu-west-1", log_group: str = SHOP) -> LogEvent:
    fields = {"@aws.account": account, "@aws.region": region, "@source.log": log_group}
    return LogEvent(text, NOW, text, fields)


def event(*events: LogEvent) -> Any:
    return invocation_event(LogData("DATA_MESSAGE", HERE, CENTRAL, "s", [*events]))


MIXED = event(line("1", A), line("2", B), line("3", A, "us-east-1"), LogEvent("4", NOW, "4"))


def labels(account: str, region: str, log_group: str, team: str) -> dict[str, str]:
    return {
        "account_id": account,
        "region": region,
        "log_group": log_group,
        "service_name": "shop",
        "source": "cloudwatch",
        "team": team,
    }


EXPECTED = {
    "1": ("team-a", labels(A, "eu-west-1", SHOP, "a") | {"tenant": "team-a"}),
    "2": ("team-b", labels(B, "eu-west-1", SHOP, "b") | {"tenant": "team-b"}),
    "3": ("team-a", labels(A, "us-east-1", SHOP, "a-us") | {"tenant": "team-a"}),
    "4": ("hub", labels(HERE, "eu-central-1", CENTRAL, "hub") | {"tenant": "hub"}),
}


def test_each_line_of_a_payload_has_what_its_source_has() -> None:
    hub = Hub()
    assert hub.ship(MIXED).delivered == 4
    assert hub.streams() == EXPECTED


@pytest.mark.parametrize("rules", ["", "[[rule]]\nreplace = '[0-9]'\nwith = 'x'"])
def test_a_dead_letter_has_the_same_labels_when_it_is_shipped_again(rules: str) -> None:
    hub = Hub()
    hub.rules = rules
    hub.ship(MIXED)
    expected = sorted(hub.streams().items()) if not rules else _streams_by_team(hub)
    hub.answer = Answer(400, "a reason that nobody knows")
    assert sum(hub.ship(MIXED).rejected.values()) == 4
    hub.answer = Answer(204)
    again: list[Batch] = []
    for body in hub.bucket.values():
        hub.ship(json.loads(body)["requestPayload"])
        again += hub.batches
    hub.batches = again
    found = sorted(hub.streams().items()) if not rules else _streams_by_team(hub)
    assert found == expected


def _streams_by_team(hub: Hub) -> list[Any]:
    return sorted((batch.stream.tenant, batch.stream.labels) for batch in hub.batches)


def test_a_source_does_not_choose_a_tenant_that_its_account_may_not_have() -> None:
    hub = Hub(tags={LogSource(A, "eu-west-1", SHOP): {"tenant": "team-b"}})
    assert hub.ship(event(line("1", A))).rejected == {"tenant_invalid": 1}
    assert hub.batches == []


def test_without_a_list_the_lines_of_other_accounts_go_to_the_tenant_of_all_only() -> None:
    hub = Hub()
    hub.settings = Settings(loki_url="http://loki", tenant_tag="tenant", loki_tenant="all")
    report = hub.ship(MIXED)
    assert (report.delivered, report.rejected) == (1, {"tenant_invalid": 3})
    assert {*hub.streams()} == {"4"}


def test_the_log_of_a_shipper_that_is_copied_is_not_shipped() -> None:
    hub = Hub()
    own = line("1", HERE, "eu-central-1", "/aws/lambda/shipper")
    theirs = line("2", B, log_group="/aws/lambda/shipper-of-b")
    report = hub.ship(event(own, theirs))
    assert report.dropped == {"own_log_group": 1, "shipper_log_group": 1}
    assert hub.batches == []
