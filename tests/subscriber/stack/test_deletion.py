"""A deletion of the stack ends, with any number of log groups and without bucket or tags."""

from collections.abc import Callable
from typing import Any

import pytest

from loki_shipper.subscriber.request import StackChanged, Sweep, request
from loki_shipper.subscriber.respond import DeletedError, respond
from loki_shipper.subscriber.run.report import RunReport, metrics
from loki_shipper.subscriber.run.unlink import unlink_before_deletion
from loki_shipper.subscriber.settings import SubscriberSettings
from loki_shipper.subscriber.stack.custom_resource import (
    failure,
    next_request,
    seconds_left,
    with_start,
)
from tests.subscriber.fake_aws import BEGIN, NAME, OTHERS, SHIPPER, FakeAws, configured, error
from tests.subscriber.run.simultaneous import Simultaneous

EVENT = {"RequestType": "Delete", "ResponseURL": "https://example.com", "StackId": "s"}
CREATE, UPDATE, DELETE = (
    StackChanged(kind, "https://example.com", {**EVENT, "RequestType": kind})
    for kind in ("Create", "Update", "Delete")
)
SETTINGS = configured(include=("/app/*",))
RUN = 840
"""Seconds of an invocation, without those that are kept back to answer."""


def refuse(code: str, status: int = 400) -> Callable[[Any], None]:
    def refuse(_: Any) -> None:
        raise error(code, "", status)

    return refuse


def linked(fake: FakeAws, count: int) -> None:
    for number in range(count):
        fake.group(f"/app/{number:05}", filters={NAME: SHIPPER, "theirs": OTHERS})


def remember_all(fake: FakeAws) -> None:
    """Have a sweep, with all the time that it needs, remember what is linked."""
    fake.limits.clear()
    respond(Sweep(), fake.dependencies(SETTINGS, seconds=float("inf")))
    assert len(fake.memory.groups) == len(fake.groups)


def delete(fake: FakeAws, settings: SubscriberSettings = SETTINGS) -> tuple[str | None, int]:
    """Delete the stack; give why CloudFormation hears that it failed, and how many runs it took."""
    began, runs, event = fake.time, 1, dict(EVENT)
    while True:
        asked = request(event)
        assert isinstance(asked, StackChanged)
        now = int(fake.time * 1000)
        stack = with_start(asked, now)
        seconds = min(RUN, seconds_left(stack, now) - 60)
        report = respond(stack, fake.dependencies(settings, seconds=seconds))
        follows = next_request(stack, report, int(fake.time * 1000))
        if follows is None:
            assert fake.time - began < 3600, "CloudFormation has given up"
            return failure(stack, report), runs
        event, runs = follows, runs + 1


# What is gone already


@pytest.mark.parametrize(
    ("operations", "code"),
    [
        (("GetObject", "PutObject"), "NoSuchBucket"),
        (("GetObject",), "KMS.DisabledException"),
        (("PutObject",), "KMS.NotFoundException"),
        (("PutObject",), "AccessDenied"),
        (("PutObject",), "PreconditionFailed"),
        (("GetResources", "ListTagsForResource"), "AccessDeniedException"),
        (("GetResources", "ListTagsForResource"), "ServiceUnavailableException"),
    ],
)
def test_a_deletion_ends_without_the_bucket_its_key_or_the_tags(
    fake: FakeAws, operations: tuple[str, ...], code: str
) -> None:
    linked(fake, 20)
    fake.group("/ecs/theirs", filters={"theirs": OTHERS})
    respond(Sweep(), fake.dependencies(SETTINGS))
    for operation in operations:
        fake.before[operation] = refuse(code, 503 if "Unavailable" in code else 400)
    assert delete(fake) == (None, 1)
    assert not fake.linked
    assert all("theirs" in group["filters"] for group in fake.groups.values())


def test_a_deletion_in_account_mode_ends_without_the_bucket(fake: FakeAws) -> None:
    settings = configured(link_mode="account")
    fake.group("/app/a")
    respond(Sweep(), fake.dependencies(settings))
    fake.before["GetObject"] = refuse("NoSuchBucket", 404)
    assert delete(fake, settings) == (None, 1)
    assert fake.policy is None


# Many log groups


def test_12_000_log_groups_are_unlinked_by_several_runs_within_the_hour(
    fake: FakeAws, record_property: Callable[[str, object], None]
) -> None:
    linked(fake, 12_000)
    remember_all(fake)
    fake.limits |= FakeAws().limits
    fake.calls.clear()
    began = fake.time
    reason, runs = delete(fake)
    assert (reason, fake.linked) == (None, {})
    # Lambda stops a chain of some sixteen invocations.
    assert 1 < runs <= 6
    assert not fake.throttled
    record_property("12,000 log groups", {"runs": runs, "seconds": fake.time - began})


def test_without_the_memory_each_run_continues_where_the_last_one_ended(fake: FakeAws) -> None:
    linked(fake, 6_000)
    fake.before["GetObject"] = fake.before["PutObject"] = refuse("NoSuchBucket", 404)
    reason, runs = delete(fake)
    assert (reason, fake.linked) == (None, {})
    assert 1 < runs <= 3


def test_log_groups_that_are_not_selected_do_not_delay_a_deletion(fake: FakeAws) -> None:
    linked(fake, 100)
    for number in range(20_000):
        fake.group(f"/other/{number:05}", age=3600)
    fake.before["GetObject"] = fake.before["PutObject"] = refuse("NoSuchBucket", 404)
    assert delete(fake) == (None, 1)
    assert not fake.linked


@pytest.mark.parametrize("has_bucket", [True, False], ids=["the bucket", "no bucket"])
def test_after_an_hour_the_answer_names_a_command_that_finishes(
    fake: FakeAws, has_bucket: bool
) -> None:
    linked(fake, 16_000)
    if has_bucket:
        remember_all(fake)
        fake.limits |= FakeAws().limits
    else:
        fake.before["GetObject"] = fake.before["PutObject"] = refuse("NoSuchBucket", 404)
    reason, _ = delete(fake)
    assert reason is not None
    assert "`loki-shipper deploy --delete`, which unlinks first" in reason
    # What the command does has no end but its own.
    unlink_before_deletion(fake.dependencies(SETTINGS, seconds=float("inf")))
    assert not fake.linked
    if has_bucket:
        assert delete(fake) == (None, 1)


# Runs that come too late


@pytest.mark.parametrize(
    ("stack", "status"),
    [
        (CREATE, "ROLLBACK_IN_PROGRESS"),
        (CREATE, "UPDATE_ROLLBACK_IN_PROGRESS"),
        (CREATE, "DELETE_IN_PROGRESS"),
        (UPDATE, "DELETE_IN_PROGRESS"),
    ],
)
def test_a_repeated_event_links_nothing_for_a_stack_that_is_deleted(
    fake: FakeAws, stack: StackChanged, status: str
) -> None:
    fake.group("/app/a")
    respond(CREATE, fake.dependencies(SETTINGS))
    respond(DELETE, fake.dependencies(SETTINGS))
    with pytest.raises(DeletedError, match=status):
        respond(stack, fake.dependencies(SETTINGS, stack_status=lambda: status))
    respond(Sweep(), fake.dependencies(SETTINGS))
    assert not fake.linked


def test_an_update_that_is_rolled_back_links(fake: FakeAws) -> None:
    fake.group("/app/a")
    status = "UPDATE_ROLLBACK_IN_PROGRESS"
    respond(UPDATE, fake.dependencies(SETTINGS, stack_status=lambda: status))
    assert fake.linked


@pytest.mark.parametrize("after", [0.0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.5, 3.0, 9.0])
def test_a_repeated_create_beside_the_deletion_leaves_no_filter(
    fake: FakeAws, after: float
) -> None:
    """The stack's status is DELETE_IN_PROGRESS from the moment on that its deletion begins."""
    for number in range(100):
        fake.group(f"/app/{number:03}")
    deletion = BEGIN + after

    def status() -> str:
        return "DELETE_IN_PROGRESS" if fake.time >= deletion else "CREATE_IN_PROGRESS"

    def create() -> RunReport:
        return respond(CREATE, fake.dependencies(SETTINGS, stack_status=status))

    Simultaneous(fake).run(
        (0, create), (after, lambda: respond(DELETE, fake.dependencies(SETTINGS)))
    )
    assert not fake.linked
    assert fake.memory.stopped


def test_a_deletion_counts_as_a_complete_run_in_the_metrics(fake: FakeAws) -> None:
    linked(fake, 3)
    report = respond(DELETE, fake.dependencies(SETTINGS))
    assert ("FiltersDeleted", "Count", 3) in [*metrics(report)]
