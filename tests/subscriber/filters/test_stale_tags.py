"""Stale tags from GetResources delete no filter, and replace no fresher tags."""

from typing import Any

import pytest

from loki_shipper.shipper.labels.tag_index import Tagged, TagIndex, decode_index, index_key
from loki_shipper.subscriber.filters.observe import never
from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.request import GroupsChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.reconcile import current_selection, planned_actions
from loki_shipper.subscriber.run.report import RunReport
from loki_shipper.subscriber.settings import SubscriberSettings, conditions
from tests.subscriber.fake_aws import FakeAws, configured, error

GROUP = "/aws/lambda/a"
TAGGED = configured(tag_conditions=conditions("team"))
TENANT = configured(tenant_tag="team")
MINUTE = 60_000


def run(fake: FakeAws, asked: Any = None, settings: SubscriberSettings = TAGGED) -> RunReport:
    return respond(asked or Sweep(), fake.dependencies(settings))


def index(fake: FakeAws) -> TagIndex:
    body, _ = fake.objects[index_key("123456789012", "eu-central-1")]
    found = decode_index(body)
    assert found is not None
    return found


@pytest.fixture
def linked(fake: FakeAws) -> FakeAws:
    """A log group that is linked for its tag, of which GetResources will not know."""
    fake.group(GROUP, team="pay")
    fake.group("/aws/lambda/b", team="shop")
    run(fake)
    fake.sleep(3600)
    fake.calls.clear()
    fake.stale_tags = {GROUP: {}}
    return fake


# Before a filter is deleted


@pytest.mark.parametrize("settings", [TAGGED, TENANT], ids=["by conditions", "by tenant"])
def test_a_log_group_stays_linked_if_its_fresh_tags_are_right(
    linked: FakeAws, settings: SubscriberSettings
) -> None:
    report = run(linked, settings=settings)
    assert (report.deleted, report.skipped["linked"]) == (0, 2)
    assert GROUP in linked.linked
    # Only what hangs on it is asked.
    assert linked.calls["ListTagsForResource"] == 1
    assert index(linked).groups[GROUP].tags == {"team": "pay"}


def test_a_log_group_is_unlinked_if_its_fresh_tags_are_wrong_too(linked: FakeAws) -> None:
    linked.groups[GROUP]["tags"] = {"other": "x"}
    assert run(linked).deleted == 1
    assert GROUP not in linked.linked
    assert index(linked).groups[GROUP].tags == {"other": "x"}


def test_a_tag_that_must_be_absent_is_read_again_too(fake: FakeAws) -> None:
    settings = configured(tag_conditions=conditions("!internal"))
    fake.group(GROUP)
    run(fake, settings=settings)
    fake.stale_tags = {GROUP: {"internal": "yes"}}
    assert run(fake, settings=settings).deleted == 0


def test_fresh_tags_include_those_of_the_function(fake: FakeAws) -> None:
    fake.group(GROUP)
    fake.function_tags = {"a": {"team": "pay"}}
    run(fake)
    fake.stale_tags = {GROUP: {"other": "x"}}
    assert run(fake).deleted == 0


@pytest.mark.parametrize("code", ["AccessDeniedException", "ServiceUnavailableException"])
def test_a_log_group_stays_linked_if_its_fresh_tags_cannot_be_read(
    linked: FakeAws, code: str
) -> None:
    def refuse(_: Any) -> None:
        raise error(code)

    linked.before["ListTagsForResource"] = refuse
    report = run(linked)
    assert (report.deleted, [each.group for each in report.failed]) == (0, [GROUP])
    assert GROUP in linked.linked


def test_a_log_group_that_is_deleted_meanwhile_is_no_error(linked: FakeAws) -> None:
    linked.before["ListTagsForResource"] = lambda _: linked.groups.pop(GROUP, None)
    report = run(linked)
    assert report.failed == []
    assert linked.memory.groups.keys() == {"/aws/lambda/b"}


def test_the_plan_equals_what_the_run_does(linked: FakeAws) -> None:
    deps = linked.dependencies(TAGGED)
    found = take_inventory(deps.aws, deps.clock.now())
    actions = list(
        planned_actions(found, current_selection(TAGGED, linked.memory), linked.memory, never, deps)
    )
    assert [each.group for each in actions if each.reason != "linked"] == []  # type: ignore[union-attr]


# Before a filter pattern is put


def test_a_pattern_that_a_tag_names_is_not_narrowed_by_stale_tags(fake: FakeAws) -> None:
    settings = configured(filter_pattern="ERROR", filter_pattern_tag="pattern")
    fake.group(GROUP, pattern="?DEBUG ?ERROR")
    run(fake, settings=settings)
    fake.stale_tags = {GROUP: {}}
    assert run(fake, settings=settings).put == 0
    assert fake.linked == {GROUP: "?DEBUG ?ERROR"}
    fake.group("/aws/lambda/new", pattern="-DEBUG", age=60)
    fake.stale_tags["/aws/lambda/new"] = {}
    run(fake, settings=settings)
    assert fake.linked["/aws/lambda/new"] == "-DEBUG"


# The index


def test_a_sweep_keeps_fresher_tags_that_an_event_read(fake: FakeAws) -> None:
    fake.group(GROUP, team="pay")
    run(fake)
    fake.sleep(3000)
    fake.groups[GROUP]["tags"] = {"team": "shop"}
    run(fake, GroupsChanged((GROUP,)))
    fake.sleep(60)
    fake.stale_tags = {GROUP: {"team": "pay"}}
    run(fake)
    assert index(fake).groups[GROUP].tags == {"team": "shop"}


def test_a_sweep_indexes_changes_without_an_event(fake: FakeAws) -> None:
    fake.group(GROUP, team="pay")
    run(fake, GroupsChanged((GROUP,)))
    fake.groups[GROUP]["tags"] = {"team": "shop"}
    fake.sleep(3600)
    run(fake)
    assert index(fake).groups[GROUP].tags == {"team": "shop"}


def test_a_sweep_counts_as_ten_minutes_old(fake: FakeAws) -> None:
    fake.group(GROUP, team="pay")
    began = int(fake.time * 1000)
    run(fake)
    found = index(fake)
    assert abs(found.swept - (began - 10 * MINUTE)) < 1_000
    assert found.groups[GROUP] == Tagged(found.swept, {"team": "pay"})


def test_a_new_log_group_keeps_the_tags_that_only_the_event_read(fake: FakeAws) -> None:
    fake.group(GROUP, team="pay")

    def meanwhile(_: Any) -> None:
        fake.before.clear()
        fake.group("/aws/lambda/new", team="pay", age=0)
        run(fake, GroupsChanged(("/aws/lambda/new",)))
        fake.stale_tags = {"/aws/lambda/new": {}}

    fake.before["GetResources"] = meanwhile
    run(fake)
    assert index(fake).groups["/aws/lambda/new"].tags == {"team": "pay"}


def test_a_deleted_log_group_leaves_the_index_with_the_second_sweep(
    fake: FakeAws,
) -> None:
    fake.group(GROUP, team="pay")
    fake.group("/aws/lambda/b", team="pay")
    run(fake)
    fake.sleep(3600)
    del fake.groups[GROUP]
    run(fake)
    assert index(fake).groups.keys() == {"/aws/lambda/b"}
    # Read just before a sweep, it counts as fresher than that sweep, but not than the next.
    fake.sleep(3600)
    run(fake, GroupsChanged(("/aws/lambda/b",)))
    del fake.groups["/aws/lambda/b"]
    run(fake)
    assert index(fake).groups.keys() == {"/aws/lambda/b"}
    fake.sleep(3600)
    run(fake)
    assert index(fake).groups == {}


# A log group whose tenant GetResources does not know yet


@pytest.mark.parametrize("mode", ["groups", "account"])
def test_a_new_log_group_is_never_indexed_without_its_tenant(fake: FakeAws, mode: str) -> None:
    """Its first lines would go to the tenant for all, where another team may read them."""
    settings = configured(tenant_tag="team", loki_tenant="all", link_mode=mode)
    fake.group("/aws/lambda/old")
    fake.group(GROUP, team="pay", age=60)
    fake.stale_tags = {GROUP: {}}
    indexed: list[dict[str, Tagged]] = []
    fake.before["PutSubscriptionFilter"] = lambda _: indexed.append(index(fake).groups)
    fake.before["PutAccountPolicy"] = lambda _: indexed.append(index(fake).groups)
    run(fake, settings=settings)
    known = [groups[GROUP].tags for groups in (*indexed, index(fake).groups) if GROUP in groups]
    assert all(tags == {"team": "pay"} for tags in known)
    assert all(groups["/aws/lambda/old"].tags == {} for groups in indexed)
    # When GetResources knows it, so does the index, whatever became of the log group.
    fake.stale_tags = {}
    fake.sleep(3600)
    run(fake, settings=settings)
    assert index(fake).groups[GROUP].tags == {"team": "pay"}


def test_the_tags_of_a_new_function_are_read_from_lambda_itself(fake: FakeAws) -> None:
    fake.group(GROUP, age=0)
    fake.function_tags = {"a": {"team": "pay"}}
    # Nothing of it yet.
    fake.before["GetResources"] = lambda _: pytest.fail("GetResources is behind")
    run(fake, GroupsChanged((GROUP,)), TENANT)
    assert index(fake).groups[GROUP].tags == {"team": "pay"}


def test_a_log_group_whose_function_is_gone_has_its_own_tags_only(fake: FakeAws) -> None:
    fake.group(GROUP)
    assert run(fake, GroupsChanged((GROUP,)), configured()).put == 1
    assert index(fake).groups[GROUP].tags == {}
