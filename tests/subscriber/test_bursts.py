"""The queue handles thousands of new or tagged log groups, in simulated time."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from loki_shipper.aws.errors import AwsError
from loki_shipper.shipper.labels.tag_index import decode_index, index_key
from loki_shipper.subscriber.invocation import _SHARE
from loki_shipper.subscriber.request import Sweep, changed_groups
from loki_shipper.subscriber.respond import link_changed_groups, respond
from loki_shipper.subscriber.run.unlink import unlink
from loki_shipper.subscriber.settings import SubscriberSettings
from loki_shipper.subscriber.store import update
from tests.subscriber.fake_aws import (
    ACCOUNT,
    NAME,
    REGION,
    SHIPPER,
    FakeAws,
    configured,
    error,
)
from tests.subscriber.run.simultaneous import Simultaneous

BATCH, WINDOW, HIDDEN = 50, 20.0, 960.0
"""The template's BatchSize, MaximumBatchingWindowInSeconds and VisibilityTimeout."""

SETTINGS = configured(include=("/app/*",))


class Queue:
    """A queue, and Lambda, which takes batches out of it for two runs at a time."""

    def __init__(self, fake: FakeAws, messages: list[tuple[float, dict[str, Any]]]) -> None:
        self._fake = fake
        self._random = Random(7)
        self._waiting = [
            (when, {"messageId": str(number), "body": json.dumps(event)})
            for number, (when, event) in enumerate(messages)
        ]
        self._in_flight = 0
        self.surfaced: list[BaseException] = []
        self.batches = 0

    def run(
        self, *others: tuple[float, Callable[[], Any]], settings: SubscriberSettings = SETTINGS
    ) -> None:
        """Work until the queue is empty, beside others."""
        worker = (0.0, lambda: self._work(settings))
        for answer in Simultaneous(self._fake).run(worker, worker, *others):
            if isinstance(answer, BaseException):
                raise answer

    def _work(self, settings: SubscriberSettings) -> None:
        while self._waiting or self._in_flight:
            batch = self._batch()
            if not batch:
                self._fake.sleep(1)
                continue
            self._in_flight += 1
            again = self._take(batch, settings)
            self._waiting += [(self._fake.time + HIDDEN, record) for record in again]
            self._in_flight -= 1

    def _batch(self) -> list[dict[str, Any]]:
        """Take messages that are there, after the window, or as many as a batch has."""
        end = self._fake.time + WINDOW
        while self._fake.time < end and len(self._there()) < BATCH:
            self._fake.sleep(1)
        there = self._there()[:BATCH]
        self._waiting = [each for each in self._waiting if each not in there]
        return [record for _, record in there]

    def _there(self) -> list[tuple[float, dict[str, Any]]]:
        return [each for each in self._waiting if each[0] <= self._fake.time]

    def _take(
        self, records: list[dict[str, Any]], settings: SubscriberSettings
    ) -> list[dict[str, Any]]:
        """Give the messages that are to come again."""
        self.batches += 1
        asked, unreadable = changed_groups(records)
        deps = self._fake.dependencies(
            settings, share=_SHARE, jitter=lambda longest: self._random.uniform(0, longest)
        )
        try:
            _, unfinished = link_changed_groups(
                {n for names in asked.values() for n in names}, deps
            )
        except Exception as raised:  # noqa: BLE001 - the test looks at it
            self.surfaced.append(raised)
            return records
        again = {each for each, names in asked.items() if unfinished.intersection(names)}
        return [each for each in records if each["messageId"] in again.union(unreadable)]


def event(name: str, **parameters: Any) -> dict[str, Any]:
    """What CloudTrail tells of a call."""
    return {
        "source": "aws.logs",
        "detail": {"eventName": name, "requestParameters": parameters},
    }


def created(name: str) -> dict[str, Any]:
    return event("CreateLogGroup", logGroupName=name)


def tagged(name: str) -> dict[str, Any]:
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"
    return event("TagResource", resourceArn=arn)


def index_of(fake: FakeAws) -> dict[str, dict[str, str]]:
    body, _ = fake.objects[index_key(ACCOUNT, REGION)]
    index = decode_index(body)
    assert index is not None
    return {name: each.tags for name, each in index.groups.items()}


def spread(fake: FakeAws, events: list[dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
    """Let events come within a minute."""
    return [(fake.time + 60 * number / len(events), each) for number, each in enumerate(events)]


def test_2_000_new_log_groups_within_a_minute_are_all_linked(
    fake: FakeAws, record_property: Callable[[str, object], None]
) -> None:
    names = [f"/app/{number:04}" for number in range(2_000)]
    for name in names:
        fake.group(name, age=0, team="pay")
    queue = Queue(fake, spread(fake, [created(name) for name in names]))
    began = fake.time
    queue.run()
    assert fake.linked.keys() == {*names}
    assert queue.surfaced == []
    assert index_of(fake) == {name: {"team": "pay"} for name in names}
    # Of each batch: the index, the memory, and the memory again after first lines.
    assert queue.batches == 40
    assert fake.calls["PutObject"] <= 3 * queue.batches + fake.conflicts
    assert fake.calls.total() <= 12_000
    # Others have calls left.
    assert not fake.throttled
    figures = {"seconds": fake.time - began, "calls": fake.calls.total(), **fake.calls}
    record_property("2,000 new log groups", figures)


def test_conflicts_with_a_sweep_are_retried_and_never_raised(fake: FakeAws) -> None:
    names = [f"/app/{number:04}" for number in range(500)]
    for name in names:
        fake.group(name, age=0, team="pay")
    queue = Queue(fake, spread(fake, [created(name) for name in names]))
    # S3 takes its time, so that runs get in each other's way.
    fake.before["PutObject"] = lambda _: fake.sleep(3)
    queue.run((60.0, lambda: respond(Sweep(), fake.dependencies(SETTINGS))))
    assert fake.conflicts > 0
    assert queue.surfaced == []
    assert fake.linked.keys() == {*names}
    assert index_of(fake) == {name: {"team": "pay"} for name in names}
    assert sum(known.filters.ours is not None for known in fake.memory.groups.values()) == 500


def test_2_000_log_groups_tagged_within_a_minute_are_in_the_index(
    fake: FakeAws, record_property: Callable[[str, object], None]
) -> None:
    names = [f"/app/{number:04}" for number in range(2_000)]
    for name in names:
        fake.group(name, filters={NAME: SHIPPER}, team="pay")
    respond(Sweep(), fake.dependencies(SETTINGS))
    for name in names:
        fake.groups[name]["tags"]["team"] = "shop"
    fake.calls.clear()
    queue = Queue(fake, spread(fake, [tagged(name) for name in names]))
    began = fake.time
    queue.run()
    assert queue.surfaced == []
    assert index_of(fake) == {name: {"team": "shop"} for name in names}
    # What is known to be linked is not looked at: one listing and the tags for each.
    assert not fake.calls["DescribeSubscriptionFilters"] + fake.calls["PutSubscriptionFilter"]
    assert fake.calls["ListTagsForResource"] == 2_000
    assert fake.calls.total() <= 5_000
    assert not fake.throttled
    record_property("2,000 tagged", {"seconds": fake.time - began, **fake.calls})


def test_a_log_group_that_is_made_and_tagged_is_looked_at_once(fake: FakeAws) -> None:
    fake.group("/app/a", age=0, team="pay")
    queue = Queue(fake, [(fake.time, created("/app/a")), (fake.time, tagged("/app/a"))])
    queue.run()
    assert fake.calls["ListTagsForResource"] == 1
    assert fake.linked


def test_the_shipper_knows_the_tags_before_lines_come(fake: FakeAws) -> None:
    fake.group("/app/a")
    fake.before["PutObject"] = lambda asked: calls.append(asked["Key"].partition("/")[0])
    fake.before["PutSubscriptionFilter"] = lambda _: calls.append("filter")
    calls: list[str] = []
    link_changed_groups(["/app/a"], fake.dependencies(SETTINGS))
    assert calls == ["tags", "filter", "links"]


def test_an_index_that_cannot_be_written_keeps_no_log_group_unlinked(fake: FakeAws) -> None:
    def refuse(asked: dict[str, Any]) -> None:
        if asked["Key"].startswith("tags/"):
            raise error("AccessDenied")

    fake.group("/app/a")
    fake.before["PutObject"] = refuse
    with pytest.raises(AwsError) as refused:
        link_changed_groups(["/app/a"], fake.dependencies(SETTINGS))
    assert refused.value.code == "AccessDenied"
    assert "/app/a" in fake.linked


def test_log_groups_that_there_was_no_time_for_are_retried(fake: FakeAws) -> None:
    names = [f"/app/{number:02}" for number in range(50)]
    for name in names:
        fake.group(name)
    report, again = link_changed_groups(
        names, fake.dependencies(SETTINGS, seconds=40, share=_SHARE)
    )
    assert 0 < report.put < 50
    assert again == {*names} - fake.linked.keys()


def test_throttled_log_groups_are_retried_and_denied_ones_are_not(fake: FakeAws) -> None:
    def refuse(asked: dict[str, Any]) -> None:
        codes = {"/app/busy": "ThrottlingException", "/app/denied": "AccessDeniedException"}
        if (name := asked["logGroupName"]) in codes:
            raise error(codes[name])

    names = ["/app/busy", "/app/denied", "/app/well"]
    for name in names:
        fake.group(name)
    fake.before["PutSubscriptionFilter"] = refuse
    report, again = link_changed_groups(names, fake.dependencies(SETTINGS))
    assert again == {"/app/busy"}
    assert {each.group for each in report.failed} == {"/app/busy", "/app/denied"}


def test_changes_are_skipped_while_everything_is_unlinked(
    fake: FakeAws,
) -> None:
    fake.group("/app/a")
    queue = Queue(fake, [(fake.time, created("/app/a"))])
    fake.objects.clear()
    respond(Sweep(), fake.dependencies(SETTINGS))
    fake.groups["/app/a"]["filters"].clear()
    unlink(fake.dependencies(SETTINGS))
    fake.calls.clear()
    queue.run()
    assert fake.calls == {"GetObject": 2}


@pytest.mark.parametrize("writers", [2, 5, 12])
def test_all_writers_succeed_despite_conflicts(fake: FakeAws, writers: int) -> None:
    random = Random(11)

    def write(number: int) -> None:
        aws = fake.dependencies(jitter=lambda longest: random.uniform(0, longest)).aws
        update("links/x", lambda body: b"".join(sorted({*_words(body), b"%d " % number})), aws)

    def job(number: int) -> tuple[float, Callable[[], None]]:
        return 0.0, lambda: write(number)

    assert Simultaneous(fake).run(*map(job, range(writers))) == [None] * writers
    body, _ = fake.objects["links/x"]
    assert len(body.split()) == writers
    assert fake.conflicts >= writers - 1


def _words(body: bytes | None) -> list[bytes]:
    return [] if body is None else [b"%b " % word for word in body.split()]
