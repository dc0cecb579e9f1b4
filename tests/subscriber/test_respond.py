"""Complete runs against an AWS in memory with limits, log classes and errors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from loki_shipper.aws.errors import AwsError
from loki_shipper.shipper.labels.tag_index import decode_index, index_key
from loki_shipper.subscriber.memory import MemoryUpdate
from loki_shipper.subscriber.request import GroupsChanged, StackChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.dependencies import remember
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.settings import conditions
from tests.subscriber.fake_aws import NAME, OTHERS, SHIPPER, FakeAws, configured, error

DELETE = StackChanged("Delete", "https://example.com", {})
CREATE = StackChanged("Create", "https://example.com", {})
TAGGED = configured(tag_conditions=conditions("team"))
ACCOUNT = configured(link_mode="account", exclude=("*-test",), own_log_groups=("/own",))


def run(fake: FakeAws, asked: Any = None, **deps: Any) -> RunReport:
    return respond(asked or Sweep(), fake.dependencies(**deps))


# Sweeps


def test_links_the_selected_log_groups_once(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    fake.group("/aws/lambda/b", filters={"theirs": OTHERS})
    fake.group("/ecs/c")
    assert run(fake).put == 2
    assert fake.linked == {"/aws/lambda/a": "", "/aws/lambda/b": ""}
    fake.calls.clear()
    again = run(fake)
    assert (again.put, again.deleted, again.linked) == (0, 0, 2)
    assert again.skipped == {"linked": 2, "not_included": 1}
    assert not fake.calls["PutSubscriptionFilter"]


def test_a_sweep_without_changes_lists_the_log_groups_only(fake: FakeAws) -> None:
    for number in range(240):
        fake.group(f"/aws/lambda/{number}")
    run(fake)
    fake.calls.clear()
    run(fake)
    looks = fake.calls.pop("DescribeSubscriptionFilters", 0)
    # One in 24 is looked at for drift; the index is written, as it says when the sweep was.
    assert looks < 30
    assert fake.calls == {
        "DescribeLogGroups": 5,
        "GetResources": 1,
        "GetObject": 2,
        "PutObject": 1,
    }


def test_finds_changes_by_others_within_a_day(fake: FakeAws) -> None:
    for number in range(50):
        fake.group(f"/aws/lambda/{number}")
    run(fake)
    for group in fake.groups.values():
        group["filters"].clear()
    fake.group("/ecs/c", filters={NAME: SHIPPER})
    linked = []
    for _ in range(24):
        fake.sleep(3600)
        run(fake)
        linked.append(len(fake.linked))
    assert linked == sorted(linked)
    assert fake.linked.keys() == {f"/aws/lambda/{number}" for number in range(50)}


def test_links_when_a_tag_comes_and_unlinks_when_it_goes(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", team="pay")
    fake.group("/aws/lambda/b")
    run(fake, settings=TAGGED)
    assert fake.linked.keys() == {"/aws/lambda/a"}
    fake.groups["/aws/lambda/a"]["tags"].clear()
    fake.groups["/aws/lambda/b"]["tags"]["team"] = "shop"
    run(fake, settings=TAGGED)
    assert fake.linked.keys() == {"/aws/lambda/b"}


def test_uses_the_tags_of_the_function_if_the_log_group_has_none(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    fake.group("/aws/lambda/b", other="x")
    fake.function_tags = {"a": {"team": "pay"}, "b": {"team": "pay"}}
    for asked in (Sweep(), GroupsChanged(("/aws/lambda/a", "/aws/lambda/b"))):
        fake.groups["/aws/lambda/a"]["filters"].clear()
        run(fake, asked, settings=TAGGED)
        assert fake.linked.keys() == {"/aws/lambda/a"}
    run(fake, settings=configured(tag_conditions=conditions("team"), function_tags=False))
    assert not fake.linked


def test_uses_the_filter_pattern_in_a_tag_and_follows_its_change(fake: FakeAws) -> None:
    settings = configured(filter_pattern_tag="pattern")
    fake.group("/aws/lambda/a", pattern="ERROR")
    run(fake, settings=settings)
    assert fake.linked == {"/aws/lambda/a": "ERROR"}
    fake.groups["/aws/lambda/a"]["tags"]["pattern"] = "-DEBUG"
    assert run(fake, settings=settings).put == 1
    assert fake.linked == {"/aws/lambda/a": "-DEBUG"}


def test_moves_the_filters_to_a_new_shipper(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", filters={NAME: OTHERS})
    run(fake)
    assert fake.groups["/aws/lambda/a"]["filters"][NAME]["destination"] == SHIPPER


def test_leaves_foreign_filters_alone(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", filters={"theirs": OTHERS})
    fake.group("/ecs/b", filters={"theirs": OTHERS, NAME: SHIPPER})
    run(fake)
    run(fake, DELETE)
    assert [list(group["filters"]) for group in fake.groups.values()] == [["theirs"], ["theirs"]]


def test_links_a_log_group_that_was_created_again_under_its_name(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    run(fake)
    fake.sleep(60)
    fake.group("/aws/lambda/a", age=10)
    assert run(fake).put == 1


def test_forgets_log_groups_that_are_gone(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    fake.group("/aws/lambda/b")
    run(fake)
    del fake.groups["/aws/lambda/a"]
    run(fake)
    assert fake.memory.groups.keys() == {"/aws/lambda/b"}


# Accidents


def test_skips_a_full_log_group_and_tries_it_again_once_a_day(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", filters={"x": OTHERS, "y": OTHERS})
    assert run(fake).skipped == {"full": 1}
    tries = fake.calls["PutSubscriptionFilter"]
    for _ in range(24):
        fake.sleep(3600)
        assert run(fake).skipped == {"full": 1}
    assert fake.calls["PutSubscriptionFilter"] == tries + 1
    del fake.groups["/aws/lambda/a"]["filters"]["x"]
    for _ in range(24):
        fake.sleep(3600)
        run(fake)
    assert fake.linked == {"/aws/lambda/a": ""}


def test_uses_all_the_places_that_the_account_has(fake: FakeAws) -> None:
    fake.places = 5
    fake.group("/aws/lambda/a", filters={"x": OTHERS, "y": OTHERS})
    assert run(fake).put == 1


def test_skips_log_classes_without_filters(fake: FakeAws) -> None:
    for log_class in ("INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS"):
        fake.group(f"/aws/lambda/{log_class}", log_class=log_class)
    assert run(fake).skipped == {"log_class": 3}
    assert not fake.calls["PutSubscriptionFilter"]


@pytest.mark.parametrize("operation", ["DescribeSubscriptionFilters", "PutSubscriptionFilter"])
def test_skips_a_log_group_that_is_deleted_meanwhile(fake: FakeAws, operation: str) -> None:
    fake.group("/aws/lambda/a")
    fake.group("/aws/lambda/b")
    fake.before[operation] = lambda _: fake.groups.pop("/aws/lambda/a", None)
    report = run(fake)
    assert (report.put, report.skipped, report.failed) == (1, {"gone": 1}, [])


def test_counts_a_log_group_that_is_deleted_meanwhile_as_unlinked(fake: FakeAws) -> None:
    fake.group("/ecs/a", filters={NAME: SHIPPER})
    fake.before["DeleteSubscriptionFilter"] = lambda _: fake.groups.pop("/ecs/a", None)
    report = run(fake)
    assert (report.deleted, report.failed) == (1, [])


@pytest.mark.parametrize("operation", ["DescribeSubscriptionFilters", "PutSubscriptionFilter"])
def test_an_error_of_one_log_group_does_not_affect_others(fake: FakeAws, operation: str) -> None:
    def deny(asked: dict[str, Any]) -> None:
        if asked["logGroupName"] == "/aws/lambda/a":
            raise error("AccessDeniedException", "an explicit deny")

    fake.group("/aws/lambda/a")
    fake.group("/aws/lambda/b")
    fake.before[operation] = deny
    report = run(fake)
    assert fake.linked.keys() == {"/aws/lambda/b"}
    assert [(each.group, each.why) for each in report.failed] == [
        ("/aws/lambda/a", "AccessDeniedException")
    ]
    fake.before.clear()
    assert run(fake).put == 1


def test_retries_a_call_that_clashed_with_another(fake: FakeAws) -> None:
    clashes = iter(["OperationAbortedException", "ServiceUnavailableException"])

    def clash(_: dict[str, Any]) -> None:
        for code in clashes:
            raise error(code)

    fake.group("/aws/lambda/a")
    fake.before["PutSubscriptionFilter"] = clash
    assert run(fake).put == 1


def test_waits_for_a_permission_that_is_not_effective_yet(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    fake.group("/aws/lambda/b")
    fake.permitted_from = fake.time + 20
    assert run(fake).put == 2


def test_does_not_wait_for_a_permission_that_never_comes(fake: FakeAws) -> None:
    for number in range(20):
        fake.group(f"/aws/lambda/{number}")
    fake.permitted_from = float("inf")
    began = fake.time
    report = run(fake)
    assert len(report.failed) == 20
    assert "permission" in report.failed[0].detail
    assert fake.time - began < 90


def test_survives_throttling_by_others(fake: FakeAws) -> None:
    for number in range(40):
        fake.group(f"/aws/lambda/{number}")
    fake.limits |= {"PutSubscriptionFilter": 1, "DescribeSubscriptionFilters": 2}
    report = run(fake)
    assert (report.put, report.failed) == (40, [])
    assert fake.throttled["PutSubscriptionFilter"] < 20


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
def test_loses_nothing_when_the_credentials_expire(fake: FakeAws, code: str) -> None:
    for number in range(10):
        fake.group(f"/aws/lambda/{number}")

    def expire(_: dict[str, Any]) -> None:
        if fake.calls["PutSubscriptionFilter"] > 5:
            raise error(code, "The security token included in the request is expired")

    fake.before["PutSubscriptionFilter"] = expire
    with pytest.raises(AwsError, match="expired"):
        run(fake)
    assert len(fake.linked) == 5
    assert sum(known.filters.ours is not None for known in fake.memory.groups.values()) == 5
    fake.before.clear()
    assert run(fake).put == 5


def test_does_not_unlink_because_tags_cannot_be_read(fake: FakeAws) -> None:
    def deny(_: dict[str, Any]) -> None:
        raise error("AccessDeniedException")

    fake.group("/aws/lambda/a", team="pay")
    run(fake, settings=TAGGED)
    fake.before["GetResources"] = deny
    with pytest.raises(AwsError):
        run(fake, settings=TAGGED)
    assert fake.linked


def test_keeps_the_results_of_another_run(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")

    def meanwhile(_: dict[str, Any]) -> None:
        fake.before.clear()
        remember(MemoryUpdate(by_hand={"/ecs/b": True}), fake.dependencies())
        fake.group("/aws/lambda/c")
        run(fake, GroupsChanged(("/aws/lambda/c",)))

    fake.before["PutSubscriptionFilter"] = meanwhile
    run(fake)
    assert fake.memory.groups.keys() == {"/aws/lambda/a", "/aws/lambda/c"}
    assert fake.memory.by_hand == {"/ecs/b": True}


def test_works_without_a_bucket(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    settings = configured(bucket=None)
    assert run(fake, settings=settings).put == 1
    assert run(fake, settings=settings).skipped == {"linked": 1}
    assert not fake.objects


# One log group


def test_links_one_new_log_group_without_listing_the_rest(fake: FakeAws) -> None:
    for number in range(100):
        fake.group(f"/aws/lambda/{number}")
    fake.group("/aws/lambda/7", team="pay", age=3)
    report = run(fake, GroupsChanged(("/aws/lambda/7",)))
    assert (report.put, report.seen) == (1, 1)
    assert fake.linked.keys() == {"/aws/lambda/7"}
    assert fake.calls["DescribeLogGroups"] == 1


def test_reads_the_tags_of_a_name_with_a_hash(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a#1", team="pay")
    assert run(fake, GroupsChanged(("/aws/lambda/a#1",)), settings=TAGGED).put == 1


def test_does_nothing_for_a_deleted_log_group(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    run(fake)
    del fake.groups["/aws/lambda/a"]
    report = run(fake, GroupsChanged(("/aws/lambda/a",)))
    assert (report.seen, report.failed) == (0, [])
    assert not fake.memory.groups


def test_writes_the_tags_that_it_reads_into_the_index(fake: FakeAws) -> None:
    def tags() -> dict[str, dict[str, str]]:
        body, _ = fake.objects[index_key("123456789012", "eu-central-1")]
        index = decode_index(body)
        assert index is not None
        return {name: each.tags for name, each in index.groups.items()}

    fake.group("/aws/lambda/a", team="pay")
    fake.group("/ecs/b", team="shop")
    run(fake)
    assert tags() == {"/aws/lambda/a": {"team": "pay"}, "/ecs/b": {"team": "shop"}}
    fake.sleep(1)
    fake.group("/ecs/c", team="new")
    run(fake, GroupsChanged(("/ecs/c",)))
    assert tags() == {
        "/aws/lambda/a": {"team": "pay"},
        "/ecs/b": {"team": "shop"},
        "/ecs/c": {"team": "new"},
    }
    del fake.groups["/ecs/b"]
    fake.sleep(1)
    run(fake)
    assert tags().keys() == {"/aws/lambda/a", "/ecs/c"}


# First lines


def test_ships_the_first_lines_of_a_new_log_group_with_their_ids(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=30)
    fake.log("/aws/lambda/a", "s", "one", at=fake.time - 29)
    fake.log("/aws/lambda/a", "t", "two", at=fake.time - 1)
    ids = [event["eventId"] for event in fake.groups["/aws/lambda/a"]["events"]]
    report = run(fake, GroupsChanged(("/aws/lambda/a",)))
    assert report.caught_up == 2
    assert sorted(fake.caught_up) == [
        ("/aws/lambda/a", ids[0], "one"),
        ("/aws/lambda/a", ids[1], "two"),
    ]
    run(fake, GroupsChanged(("/aws/lambda/a",)))
    run(fake)
    assert len(fake.shipped) == 2


def test_reads_first_lines_a_minute_after_the_filter(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=30)
    put = []
    fake.before["PutSubscriptionFilter"] = lambda _: put.append(fake.time)
    fake.before["FilterLogEvents"] = lambda _: fake.log("/aws/lambda/a", "s", "late", at=put[0])
    run(fake)
    assert [message for _, _, message in fake.caught_up] == ["late"]
    assert fake.time - put[0] >= 60


def test_ships_only_lines_that_match_the_filter_pattern(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=30)
    fake.log("/aws/lambda/a", "s", "DEBUG x")
    fake.log("/aws/lambda/a", "s", "ERROR y")
    run(fake, settings=configured(filter_pattern="ERROR"))
    assert [message for _, _, message in fake.caught_up] == ["ERROR y"]


def test_leaves_the_past_of_older_log_groups_to_backfill(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=2 * 86_400)
    fake.log("/aws/lambda/a", "s", "old")
    assert run(fake).put == 1
    assert not fake.shipped


def test_ships_first_lines_in_the_next_run_if_this_one_failed(fake: FakeAws) -> None:
    def down(_: dict[str, Any]) -> None:
        raise error("AccessDeniedException")

    fake.group("/aws/lambda/a", age=30)
    fake.log("/aws/lambda/a", "s", "one")
    fake.before["Invoke"] = down
    report = run(fake)
    assert (report.put, report.caught_up) == (1, 0)
    assert "first lines wait" in report.failed[0].detail
    fake.before.clear()
    fake.sleep(3600)
    assert run(fake).caught_up == 1


def test_ships_first_lines_in_the_next_run_if_this_one_was_killed(fake: FakeAws) -> None:
    def killed(_: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    fake.group("/aws/lambda/a", age=30)
    fake.log("/aws/lambda/a", "s", "one")
    fake.before["FilterLogEvents"] = killed
    with pytest.raises(KeyboardInterrupt):
        run(fake)
    fake.before.clear()
    assert run(fake).caught_up == 1


def test_stops_at_the_limit_of_lines(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=30)
    for _ in range(120_000):
        fake.log("/aws/lambda/a", "s", "x")
    report = run(fake)
    assert report.behind == ["/aws/lambda/a"]
    assert report.caught_up == 100_000
    assert not run(fake).caught_up


# The stack


def test_links_when_the_stack_is_created_and_unlinks_when_it_is_deleted(
    fake: FakeAws,
) -> None:
    fake.group("/aws/lambda/a", filters={"theirs": OTHERS})
    fake.group("/aws/lambda/b", age=30)
    assert run(fake, CREATE).put == 2
    report = run(fake, DELETE)
    assert (report.deleted, report.failed, report.left) == (2, [], 0)
    assert not fake.linked
    assert list(fake.groups["/aws/lambda/a"]["filters"]) == ["theirs"]


def test_unlinks_filters_that_the_memory_does_not_have(fake: FakeAws) -> None:
    fake.group("/ecs/a")
    run(fake)
    fake.groups["/ecs/a"]["filters"][NAME] = {"pattern": "", "destination": SHIPPER, "since": 1}
    run(fake, DELETE)
    assert not fake.linked


def test_links_nothing_while_the_stack_is_being_deleted(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a")
    run(fake, DELETE)
    run(fake)
    run(fake, GroupsChanged(("/aws/lambda/a",)))
    assert not fake.linked
    run(fake, CREATE)
    assert fake.linked


def test_continues_to_unlink_after_time_was_up(fake: FakeAws) -> None:
    for number in range(400):
        fake.group(f"/aws/lambda/{number}", filters={NAME: SHIPPER})
    run(fake)
    report = run(fake, DELETE, seconds=30)
    assert 0 < report.deleted < 400
    assert report.left > 0
    lefts = []
    while fake.linked:
        lefts.append(run(fake, DELETE, seconds=60).left)
    assert lefts[-1] == 0
    assert len(lefts) < 4


def test_leaves_first_lines_to_the_sweep_while_cloudformation_waits(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", age=30)
    fake.log("/aws/lambda/a", "s", "one")
    run(fake, CREATE)
    assert not fake.shipped
    assert run(fake).caught_up == 1


# The account policy


def test_updates_the_policy_when_exclusions_change(fake: FakeAws) -> None:
    fake.group("/ecs/a")
    fake.group("/ecs/b-test")
    run(fake, settings=ACCOUNT)
    assert fake.policy is not None
    assert fake.policy["selectionCriteria"] == 'LogGroupName NOT IN ["/ecs/b-test", "/own"]'
    assert run(fake, settings=ACCOUNT).put == 0
    fake.group("/ecs/c-test")
    assert run(fake, GroupsChanged(("/ecs/c-test",)), settings=ACCOUNT).put == 1
    assert '"/ecs/b-test", "/ecs/c-test", "/own"' in fake.policy["selectionCriteria"]
    assert not fake.linked


def test_replaces_filters_by_the_policy_and_back(fake: FakeAws) -> None:
    fake.group("/aws/lambda/a", filters={"theirs": OTHERS})
    run(fake)
    run(fake, settings=ACCOUNT)
    assert (fake.linked, fake.policy is None) == ({}, False)
    run(fake)
    assert (fake.linked, fake.policy) == ({"/aws/lambda/a": ""}, None)
    run(fake, settings=ACCOUNT)
    run(fake, DELETE, settings=ACCOUNT)
    assert (fake.linked, fake.policy) == ({}, None)


def test_leaves_a_foreign_policy_alone(fake: FakeAws) -> None:
    theirs = {"policyName": "theirs", "policyType": "SUBSCRIPTION_FILTER_POLICY"}
    fake.policy = theirs
    report = run(fake, settings=ACCOUNT)
    assert [each.detail for each in report.failed] == [
        "AWS allows one account policy, and there is another one already"
    ]
    run(fake, DELETE, settings=ACCOUNT)
    assert fake.policy is theirs


def test_reports_that_a_policy_cannot_exclude_so_many(fake: FakeAws) -> None:
    for number in range(1000):
        fake.group(f"/ecs/some-service-number-{number:04}-test")
    report = run(fake, settings=ACCOUNT)
    assert [each.why for each in report.failed] == ["TooManyExcluded"]
    assert fake.policy is None


# Many


@dataclass
class Figures:
    seconds: float
    calls: int


def figures(fake: FakeAws, **deps: Any) -> tuple[RunReport, Figures]:
    fake.calls.clear()
    began = fake.time
    report = run(fake, **deps)
    return report, Figures(fake.time - began, fake.calls.total())


def test_converges_with_13_000_log_groups_and_200_changes(
    record_property: Callable[[str, object], None],
) -> None:
    fake = FakeAws()
    for number in range(13_000):
        fake.group(f"/aws/lambda/f{number:05}", filters={NAME: SHIPPER}, team="pay")
    deps = {"settings": TAGGED, "seconds": 840.0}
    runs = 1
    while run(fake, **deps).left:
        runs += 1
    # Without a memory each log group has to be looked at once: 13,000 at four a second.
    assert runs <= 5

    for number in range(100):
        fake.groups[f"/aws/lambda/f{number:05}"]["tags"].clear()
        fake.group(f"/aws/lambda/new{number:03}", team="shop", age=90_000)
    fake.sleep(3600)
    report, changed = figures(fake, **deps)
    assert (report.put, report.deleted, report.left, report.failed) == (100, 100, 0, [])
    assert len(fake.linked) == 13_000
    fake.sleep(3600)
    report, idle = figures(fake, **deps)
    assert (report.put, report.deleted, report.left) == (0, 0, 0)
    assert not fake.throttled
    # 262 pages of log groups, 131 of tags, one log group in 24 looked at.
    assert idle.calls < 1_100
    assert idle.seconds < 240
    assert changed.seconds < 360
    record_property("runs without a memory", str(runs))
    record_property("200 changes", str(changed))
    record_property("no change", str(idle))
