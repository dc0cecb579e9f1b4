"""Two stacks in one account and Region never ship the log of the other."""

import pytest

from loki_shipper.model import OWN_TAG
from loki_shipper.subscriber.filters.observe import never
from loki_shipper.subscriber.filters.plan import SkipGroup
from loki_shipper.subscriber.groups.inventory import take_inventory
from loki_shipper.subscriber.model import Reason
from loki_shipper.subscriber.policy.account_policy import read_policy
from loki_shipper.subscriber.request import GroupsChanged, Sweep
from loki_shipper.subscriber.respond import respond
from loki_shipper.subscriber.run.reconcile import current_selection, planned_actions
from loki_shipper.subscriber.settings import SubscriberSettings
from tests.subscriber.fake_aws import ACCOUNT, BUCKET, NAME, REGION, FakeAws, configured

DRILL = "loki-shipper-drill"
MARK = {OWN_TAG: "any"}


def own(stack: str) -> tuple[str, ...]:
    return tuple(f"/aws/lambda/{stack}-{name}" for name in ("shipper", "redriver", "subscriber"))


def stack(name: str, link_mode: str = "groups") -> SubscriberSettings:
    return configured(
        shipper_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}-shipper:live",
        # The fake has one bucket; a stack without remembers nothing and looks at everything.
        bucket=BUCKET if name == NAME else None,
        filter_name=name,
        own_log_groups=own(name),
        link_mode=link_mode,
    )


def marked(fake: FakeAws, *names: str, age: float = 3600) -> None:
    for name in names:
        fake.group(name, age=age)
        fake.groups[name]["tags"] = MARK


@pytest.fixture
def both(fake: FakeAws) -> FakeAws:
    marked(fake, *own(NAME), *own(DRILL))
    fake.group("/aws/lambda/shop")
    return fake


def sweep(fake: FakeAws, settings: SubscriberSettings) -> None:
    respond(Sweep(), fake.dependencies(settings))


def filters(fake: FakeAws, name: str) -> set[str]:
    return set(fake.groups[name]["filters"])


def test_no_stack_links_the_log_groups_of_the_other(both: FakeAws) -> None:
    for _ in range(2):
        for name in (NAME, DRILL):
            sweep(both, stack(name))
    assert filters(both, "/aws/lambda/shop") == {NAME, DRILL}
    assert [name for name in own(NAME) + own(DRILL) if filters(both, name)] == []


def test_an_account_policy_excludes_the_log_groups_of_the_other_stack(both: FakeAws) -> None:
    sweep(both, stack(NAME, "account"))
    assert both.policy is not None
    policy = read_policy(both.policy["policyDocument"], both.policy["selectionCriteria"])
    assert policy is not None
    assert policy.excluded == {*own(NAME), *own(DRILL)}


def test_an_account_policy_excludes_a_stack_that_comes_later(fake: FakeAws) -> None:
    sweep(fake, stack(NAME, "account"))
    marked(fake, *own(DRILL), age=0)
    respond(GroupsChanged(own(DRILL)), fake.dependencies(stack(NAME, "account")))
    assert fake.policy is not None
    policy = read_policy(fake.policy["policyDocument"], fake.policy["selectionCriteria"])
    assert policy is not None
    assert policy.excluded == {*own(NAME), *own(DRILL)}


def test_a_linked_log_group_that_gets_the_tag_is_unlinked(fake: FakeAws) -> None:
    """An older release marked nothing."""
    for name in own(DRILL):
        fake.group(name)
    sweep(fake, stack(NAME))
    assert all(filters(fake, name) == {NAME} for name in own(DRILL))
    for name in own(DRILL):
        fake.groups[name]["tags"] = MARK
    sweep(fake, stack(NAME))
    assert [name for name in own(DRILL) if filters(fake, name)] == []


def test_a_tag_that_getresources_does_not_show_yet_counts(fake: FakeAws) -> None:
    group, *_ = own(DRILL)
    marked(fake, group, age=60)
    fake.stale_tags = {group: {}}
    sweep(fake, stack(NAME))
    assert not filters(fake, group)


def test_the_tags_of_old_log_groups_are_not_read_one_by_one(fake: FakeAws) -> None:
    for number in range(20):
        fake.group(f"/aws/lambda/{number}", age=3600)
    sweep(fake, stack(NAME))
    assert fake.calls["ListTagsForResource"] == 0


def test_the_tag_of_a_function_counts_for_its_log_group(fake: FakeAws) -> None:
    """Where a function's log group is not the one that the stack makes for it."""
    group = "/aws/lambda/loki-shipper-drill-ShipperFunction-1a2b3c"
    fake.group(group)
    fake.function_tags = {"loki-shipper-drill-ShipperFunction-1a2b3c": MARK}
    sweep(fake, stack(NAME))
    assert not filters(fake, group)


def test_a_log_group_that_is_made_to_be_shipped_is_linked(both: FakeAws) -> None:
    both.group("/aws/lambda/loki-shipper-drill-canary", team="shop")
    sweep(both, stack(NAME))
    assert filters(both, "/aws/lambda/loki-shipper-drill-canary") == {NAME}


def test_plan_says_why_in_plain_words(both: FakeAws) -> None:
    deps = both.dependencies(stack(NAME))
    found = take_inventory(deps.aws, deps.clock.now(), own(DRILL))
    memory = both.memory
    actions = planned_actions(found, current_selection(deps.settings, memory), memory, never, deps)
    assert {*actions} == {SkipGroup(name, Reason.OWN) for name in own(DRILL)}
    assert OWN_TAG in Reason.OWN.words
