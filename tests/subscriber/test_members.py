"""A member of an organization sends to the hub: its lines, its tags and its first lines."""

import json

import pytest

from loki_shipper.aws.errors import AwsError
from loki_shipper.environment import SettingsError
from loki_shipper.redriver.bucket import sender_of
from loki_shipper.redriver.record import read_stored_records
from loki_shipper.shipper.labels.tag_index import decode_index
from loki_shipper.subscriber.memory import memory_key
from loki_shipper.subscriber.request import Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.unlink import unlink
from loki_shipper.subscriber.settings import SubscriberSettings, settings
from tests.subscriber.fake_aws import (
    ACCOUNT,
    BUCKET,
    HUB_BUCKET,
    NAME,
    REGION,
    SHIPPER,
    FakeAws,
    error,
)

HUB = "999999999999"
DESTINATION = f"arn:aws:logs:{REGION}:{HUB}:destination:loki-shipper"
ENVIRON = {"DESTINATION_ARN": DESTINATION, "HUB_BUCKET": HUB_BUCKET, "ACCOUNT": ACCOUNT}
INDEX = f"tags/{ACCOUNT}/{REGION}.json.gz"


def member(**environ: str) -> SubscriberSettings:
    return settings({**ENVIRON, "BUCKET": BUCKET, "INCLUDE": "/app/*", **environ})


def sweep(fake: FakeAws, **environ: str) -> None:
    respond(Sweep(), fake.dependencies(member(**environ)))


def test_its_filters_send_to_the_destination(fake: FakeAws) -> None:
    fake.group("/app/a")
    sweep(fake)
    assert fake.groups["/app/a"]["filters"][NAME]["destination"] == DESTINATION


def test_its_account_policy_sends_to_the_destination(fake: FakeAws) -> None:
    fake.group("/app/a")
    sweep(fake, LINK_MODE="account")
    assert fake.policy is not None
    assert json.loads(fake.policy["policyDocument"])["DestinationArn"] == DESTINATION


def test_its_log_groups_are_those_of_its_own_account() -> None:
    origin = member().origin
    assert (origin.account, origin.region) == (ACCOUNT, REGION)


def test_its_tags_are_in_the_bucket_of_the_hub_and_its_memory_in_its_own(fake: FakeAws) -> None:
    fake.group("/app/a", team="shop")
    for _ in range(2):
        sweep(fake)
    index = decode_index(fake.hub_objects[INDEX][0])
    assert index is not None
    assert index.groups["/app/a"].tags == {"team": "shop"}
    assert [*fake.objects] == [memory_key(member().origin)]
    assert fake.conflicts == 0


def test_an_index_that_it_may_not_read_is_not_replaced(fake: FakeAws) -> None:
    """S3 answers 403 for a missing object too, so only the write tells that there is one."""
    fake.hub_objects[INDEX] = (b"kept", '"1"')

    def deny(asked: dict[str, str]) -> None:
        if asked["Bucket"] == HUB_BUCKET:
            raise error("AccessDenied", "no", 403)

    fake.before["GetObject"] = deny
    with pytest.raises(Exception, match="is being changed by others"):
        sweep(fake)
    assert fake.hub_objects[INDEX] == (b"kept", '"1"')


def test_its_first_lines_wait_in_the_bucket_of_the_hub_under_its_account(fake: FakeAws) -> None:
    fake.group("/app/a", age=30)
    fake.log("/app/a", "s", "the first", at=fake.time - 29)
    sweep(fake)
    [key] = [key for key in fake.hub_objects if key != INDEX]
    assert sender_of(key) == ACCOUNT
    [record] = read_stored_records(key, fake.hub_objects[key][0])
    [data] = record.payloads
    assert (data.owner, data.log_group) == (ACCOUNT, "/app/a")
    assert [event.message for event in data.log_events] == ["the first"]
    assert fake.calls["Invoke"] == 0


def test_first_lines_that_the_hub_does_not_take_stay_due(fake: FakeAws) -> None:
    fake.group("/app/a", age=30)
    fake.log("/app/a", "s", "the first", at=fake.time - 29)

    def deny(asked: dict[str, str]) -> None:
        if asked["Key"].startswith("first-lines/"):
            raise error("AccessDenied", "no", 403)

    fake.before["PutObject"] = deny
    report = respond(Sweep(), fake.dependencies(member()))
    assert (report.waiting, report.caught_up) == (1, 0)
    del fake.before["PutObject"]
    report = respond(Sweep(), fake.dependencies(member()))
    assert (report.waiting, report.caught_up) == (0, 1)


def test_shipping_the_same_lines_again_writes_no_new_object(fake: FakeAws) -> None:
    fake.group("/app/a", age=30)
    fake.log("/app/a", "s", "the first", at=fake.time - 29)
    sweep(fake)
    before = dict(fake.hub_objects)
    del fake.objects[memory_key(member().origin)]
    sweep(fake)
    assert fake.hub_objects.keys() == before.keys()


def test_unlinking_everything_needs_nothing_of_the_hub(fake: FakeAws) -> None:
    fake.group("/app/a")
    sweep(fake)

    def deny(asked: dict[str, str]) -> None:
        if asked["Bucket"] == HUB_BUCKET:
            raise AwsError("denied", "AccessDenied")

    fake.before |= {"GetObject": deny, "PutObject": deny}
    unlink(fake.dependencies(member()))
    assert fake.groups["/app/a"]["filters"] == {}


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        ({}, "SHIPPER_ARN is not set"),
        ({"DESTINATION_ARN": DESTINATION}, "HUB_BUCKET is not set, which goes with DESTINATION"),
        ({**ENVIRON, "ACCOUNT": ""}, "ACCOUNT is not set, which goes with DESTINATION_ARN"),
        ({**ENVIRON, "SHIPPER_ARN": SHIPPER}, "only one of SHIPPER_ARN and DESTINATION_ARN"),
        ({**ENVIRON, "DESTINATION_ARN": SHIPPER}, "is not the ARN of a destination"),
    ],
)
def test_a_member_without_a_hub_is_a_fault(environ: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        settings(environ)
