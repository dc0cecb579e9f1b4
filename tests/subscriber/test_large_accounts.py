"""Accounts with many log groups and few selected ones stay within AWS's limits."""

from collections.abc import Callable
from typing import Any

import pytest

from loki_shipper.subscriber.request import StackChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.settings import conditions
from tests.subscriber.fake_aws import NAME, SHIPPER, FakeAws, configured

CREATE = StackChanged("Create", "https://example.com", {})
BY_NAME = configured(include=("/app/*",))
BY_TAG = configured(include=("*",), tag_conditions=conditions("team"))


def run(fake: FakeAws, asked: Any = None, **deps: Any) -> RunReport:
    return respond(asked or Sweep(), fake.dependencies(**deps))


@pytest.mark.parametrize("settings", [BY_NAME, BY_TAG], ids=["by name", "by tag"])
@pytest.mark.parametrize("asked", [CREATE, Sweep()], ids=["the stack is made", "a sweep"])
def test_links_500_of_50_000_log_groups_within_the_first_run(
    fake: FakeAws, settings: Any, asked: Any, record_property: Callable[[str, object], None]
) -> None:
    selected = {f"/app/{number:03}" for number in range(500)}
    for name in selected:
        fake.group(name, team="pay")
    # They are newer than those that are selected.
    for number in range(49_500):
        fake.group(f"/other/{number:05}", age=3600)
    began = fake.time
    report = run(fake, asked, settings=settings, seconds=840)
    assert fake.linked.keys() == selected
    assert (report.put, report.failed) == (500, [])
    assert not fake.throttled
    # The function has a minute more to finish what it has begun.
    assert fake.time - began < 900
    record_property("looked at in this run", report.seen - report.left)


def test_looks_at_a_selected_log_group_before_any_other(fake: FakeAws) -> None:
    fake.group("/app/a")
    for number in range(5_000):
        fake.group(f"/other/{number:04}", age=3600)
    seen: list[str] = []
    fake.before["DescribeSubscriptionFilters"] = lambda asked: seen.append(asked["logGroupName"])
    run(fake, settings=BY_NAME)
    assert seen[0] == "/app/a"


def test_unlinks_deselected_log_groups_before_it_looks_at_new_ones(fake: FakeAws) -> None:
    fake.group("/app/a")
    fake.group("/app/b")
    run(fake, settings=BY_NAME)
    for number in range(5_000):
        fake.group(f"/other/{number:04}", age=3600)
    run(fake, settings=configured(include=("/app/a",)), seconds=60)
    assert fake.linked.keys() == {"/app/a"}


def test_later_runs_look_at_the_rest_and_find_our_filter(fake: FakeAws) -> None:
    fake.group("/app/a")
    for number in range(5_000):
        fake.group(f"/other/{number:04}", age=3600)
    fake.groups["/other/4999"]["filters"][NAME] = {
        "pattern": "",
        "destination": SHIPPER,
        "since": 1,
    }
    runs = 0
    while run(fake, settings=BY_NAME).left:
        runs += 1
        fake.sleep(3600)
    assert 1 <= runs <= 2
    assert fake.linked.keys() == {"/app/a"}
