"""Filters of centralized log groups emit system fields, and options set by hand stay."""

import gzip
import json
from typing import Any

import pytest

from loki_shipper.subscriber.memory import decode_memory, memory_key
from loki_shipper.subscriber.request import Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.report import RunReport
from tests.subscriber.fake_aws import NAME, OTHERS, SHIPPER, FakeAws, configured

CENTRAL, OTHER = "/central/app", "/aws/lambda/a"
INCLUDE = ("/central/*", "/aws/lambda/*")
WITHOUT = configured(include=INCLUDE)
WITH = configured(include=INCLUDE, centralized=("/central/*",))
FIELDS = {"emitSystemFields": ["@aws.account", "@aws.region", "@source.log"]}
BY_HAND = {
    "emitSystemFields": ["@aws.account"],
    "fieldSelectionCriteria": '@aws.region = "eu-west-1"',
    "applyOnTransformedLogs": True,
}


@pytest.fixture
def fake() -> FakeAws:
    fake = FakeAws()
    for name in (CENTRAL, OTHER):
        fake.group(name)
    return fake


def run(fake: FakeAws, **deps: Any) -> RunReport:
    return respond(Sweep(), fake.dependencies(**deps))


def test_a_filter_of_a_centralized_log_group_emits_system_fields_and_no_other_does(
    fake: FakeAws,
) -> None:
    assert run(fake, settings=WITH).put == 2
    assert (fake.options(CENTRAL), fake.options(OTHER)) == (FIELDS, {})
    assert run(fake, settings=WITH).put == 0


def test_a_filter_that_is_there_gets_them_when_the_setting_changes(fake: FakeAws) -> None:
    run(fake, settings=WITHOUT)
    assert run(fake, settings=WITH).put == 1
    assert (fake.options(CENTRAL), fake.options(OTHER)) == (FIELDS, {})


@pytest.mark.parametrize("name", [CENTRAL, OTHER])
def test_options_that_somebody_set_by_hand_are_left_alone(fake: FakeAws, name: str) -> None:
    fake.groups[name]["filters"][NAME] = {"pattern": "", "destination": SHIPPER, "since": 1}
    fake.options(name).update(BY_HAND)
    run(fake, settings=WITH)
    run(fake, settings=WITH)
    assert fake.options(name) == BY_HAND
    assert fake.calls["PutSubscriptionFilter"] == 1


@pytest.mark.parametrize("name", [CENTRAL, OTHER])
def test_a_filter_that_is_put_again_keeps_options_that_the_memory_does_not_know(
    fake: FakeAws, name: str
) -> None:
    run(fake, settings=WITH)
    options = fake.options(name)
    options.clear()
    options.update(BY_HAND)
    run(fake, settings=configured(include=INCLUDE, filter_pattern="ERROR"))
    assert fake.linked[name] == "ERROR"
    assert fake.options(name) == BY_HAND


def test_a_filter_that_moves_to_our_shipper_keeps_its_options(fake: FakeAws) -> None:
    fake.group(OTHER, filters={NAME: OTHERS})
    fake.options(OTHER).update(BY_HAND)
    run(fake)
    assert fake.groups[OTHER]["filters"][NAME]["destination"] == SHIPPER
    assert fake.options(OTHER) == BY_HAND


def test_the_account_policy_has_no_such_option(fake: FakeAws) -> None:
    run(fake, settings=configured(link_mode="account", centralized=("/central/*",)))
    assert fake.policy is not None
    assert not fake.linked


def test_a_memory_of_an_older_version_has_no_fields(fake: FakeAws) -> None:
    run(fake, settings=WITH)
    key = memory_key(WITH.origin)
    body, _ = fake.objects[key]
    older = json.loads(gzip.decompress(body))
    for state in older["groups"].values():
        state[1][0] = state[1][0][:3]
    decoded = decode_memory(gzip.compress(json.dumps(older).encode()))
    ours = decoded.groups[CENTRAL].filters.ours
    assert ours is not None
    assert ours.system_fields == ()
