"""A deletion, or `unlink --all`, during other runs leaves no filter of ours."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from loki_shipper.subscriber.filters.apply import Done
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.report import RunReport, metrics
from loki_shipper.subscriber.settings import SubscriberSettings
from tests.subscriber.fake_aws import NAME, FakeAws, configured, error
from tests.subscriber.run.simultaneous import Simultaneous

DELETE = StackChanged("Delete", "https://example.com", {})
UPDATE = StackChanged("Update", "https://example.com", {})
GROUPS = configured(include=("/app/*",))
ACCOUNT = configured(link_mode="account")


def job(
    fake: FakeAws, asked: Any, settings: SubscriberSettings = GROUPS
) -> Callable[[], RunReport]:
    return lambda: respond(asked, fake.dependencies(settings))


def together(fake: FakeAws, *jobs: tuple[float, Callable[[], RunReport]]) -> list[RunReport]:
    reports = Simultaneous(fake).run(*jobs)
    for report in reports:
        assert isinstance(report, RunReport), report
    return reports


@pytest.mark.parametrize("after", [0.0, 0.5, 2.0, 7.0, 30.0, 60.0])
@pytest.mark.parametrize("asked", [Sweep(), UPDATE], ids=["a sweep", "an update"])
def test_a_run_beside_the_deletion_leaves_no_filter(
    fake: FakeAws, asked: Any, after: float
) -> None:
    for number in range(300):
        fake.group(f"/app/{number:03}", age=30)
        fake.log(f"/app/{number:03}", "s", "first")
    sweep, delete = together(fake, (0, job(fake, asked)), (after, job(fake, DELETE)))
    assert not fake.linked
    assert (delete.left, delete.failed) == (0, [])
    if sweep.put < 300:
        assert sweep.left > 0
        assert "SweepsComplete" not in {name for name, *_ in metrics(sweep)}
        # What is not linked any more has no first lines.
        assert not sweep.caught_up
    # Nothing is remembered as linked that is not: the next deployment would pass it over.
    assert not [name for name, each in fake.memory.groups.items() if each.filters.ours]
    respond(UPDATE, fake.dependencies(GROUPS))
    assert len(fake.linked) == 300


def test_first_lines_that_end_after_the_deletion_do_not_make_it_look_linked(fake: FakeAws) -> None:
    for number in range(4):
        fake.group(f"/app/{number}", age=30)
        fake.log(f"/app/{number}", "s", "first")
    # The shipper takes its time.
    fake.before["Invoke"] = lambda _: fake.sleep(100)
    together(fake, (0, job(fake, Sweep())), (90, job(fake, DELETE)))
    assert not fake.linked
    assert not [name for name, each in fake.memory.groups.items() if each.filters.ours]


def test_a_delayed_filter_is_not_put_after_the_order(fake: FakeAws) -> None:
    fake.group("/app/a")
    fake.permitted_from = fake.time + 25
    put: list[float] = []
    fake.before["PutSubscriptionFilter"] = lambda _: put.append(fake.time)
    began = fake.time
    sweep, _ = together(fake, (0, job(fake, Sweep())), (4, job(fake, DELETE)))
    assert not fake.linked
    assert put[-1] <= began + 4 + 5 + 1
    assert (sweep.put, sweep.failed, sweep.left) == (0, [], 1)


def test_an_event_beside_the_deletion_leaves_no_filter(fake: FakeAws) -> None:
    for number in range(20):
        fake.group(f"/app/{number}", filters={NAME: configured().filter_destination})
    respond(Sweep(), fake.dependencies(GROUPS))
    begin = fake.time

    def created() -> RunReport:
        fake.group("/app/new", age=0)
        return respond(GroupsChanged(("/app/new",)), fake.dependencies(GROUPS))

    for number in range(40):
        fake.groups.pop("/app/new", None)
        together(fake, (0, job(fake, DELETE)), (number * 0.5, created))
        assert not fake.linked, number
        respond(UPDATE, fake.dependencies(GROUPS))
    assert fake.time > begin


def test_a_sweep_beside_the_deletion_leaves_no_policy(fake: FakeAws) -> None:
    fake.group("/app/a")
    effective = fake.time + 25

    def deny(_: Any) -> None:
        if fake.time < effective:
            raise error("AccessDeniedException")

    fake.before["PutAccountPolicy"] = deny
    sweep, _ = together(fake, (0, job(fake, Sweep(), ACCOUNT)), (1, job(fake, DELETE, ACCOUNT)))
    assert fake.policy is None
    assert (sweep.left, sweep.failed) == (1, [])


def test_a_run_with_nothing_to_link_ends_too(fake: FakeAws) -> None:
    for number in range(300):
        fake.group(f"/app/{number}", filters={NAME: configured().filter_destination})
    began, ended = fake.time, []

    def sweep() -> RunReport:
        report = respond(Sweep(), fake.dependencies(GROUPS))
        ended.append(fake.time)
        return report

    report, _ = together(fake, (0, sweep), (2, job(fake, DELETE)))
    assert report.left > 0
    assert ended[0] <= began + 2 + 5 + 1


def test_reads_the_memory_every_five_seconds_at_most(fake: FakeAws) -> None:
    for number in range(400):
        fake.group(f"/app/{number:03}")
    began = fake.time
    respond(Sweep(), fake.dependencies(GROUPS))
    # The memory before and after the run, the tag index, and the looks.
    assert fake.calls["GetObject"] <= 3 + (fake.time - began) / 5


def test_a_deletion_waits_until_other_runs_noticed_the_order(fake: FakeAws) -> None:
    fake.group("/app/a")
    listed: list[float] = []
    fake.before["DescribeLogGroups"] = lambda _: listed.append(fake.time)
    began = fake.time
    respond(DELETE, fake.dependencies(GROUPS))
    assert listed[0] >= began + 10


def test_without_a_bucket_there_is_no_order_to_wait_for(fake: FakeAws) -> None:
    fake.group("/app/a")
    began = fake.time
    respond(DELETE, fake.dependencies(configured(bucket=None)))
    assert fake.time < began + 5


def test_reports_what_was_linked_before_the_order(fake: FakeAws) -> None:
    for number in range(100):
        fake.group(f"/app/{number:03}")
    told: list[str] = []

    def sweep() -> RunReport:
        deps = fake.dependencies(GROUPS)
        heard = replace(
            deps, tell=lambda each: told.append(each.group) if isinstance(each, Done) else None
        )
        return respond(Sweep(), heard)

    report, _ = together(fake, (0, sweep), (5, job(fake, DELETE)))
    assert len(told) == report.put > 0
