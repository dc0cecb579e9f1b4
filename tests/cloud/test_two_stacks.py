"""Two stacks beside each other in one Region: both ship what is logged, neither the other's log."""

import uuid
from functools import partial

import pytest

from loki_shipper.local.find_loki import Running
from loki_shipper.local.loki import Loki
from loki_shipper.model import OWN_TAG
from tests.cloud.cloud import Cloud
from tests.cloud.stack import Stack, awaited
from tests.loki.asking import held
from tools.artifact import SamArtifact

SHOP = "/aws/lambda/shop"
REGION = "us-west-2"
OF_A_STACK = '{log_group=~".*(one|two)-(shipper|redriver|subscriber).*"}'


@pytest.fixture(scope="module")
def tenants() -> dict[str, str]:
    return {name: f"{name}-{uuid.uuid4().hex}" for name in ("one", "two")}


@pytest.fixture(scope="module")
def stacks(
    cloud: Cloud, built: SamArtifact, loki: Loki | Running, tenants: dict[str, str]
) -> tuple[Stack, Stack]:
    one, two = (Stack(cloud, name, REGION) for name in tenants)
    one.create_log_group(SHOP)
    for stack in (one, two):
        stack.deploy(
            built.folder,
            Architecture=built.architecture,
            LokiUrl=loki.url,
            LokiTenant=tenants[stack.name],
            RedriveSchedule="off",
        )
    return one, two


def own_log_groups(stack: Stack) -> list[str]:
    """Give the log groups of both stacks' functions, the way they are named or might be."""
    return [name for name in stack.log_groups() if name != SHOP]


def test_each_stack_links_log_groups_but_not_those_of_the_other(
    stacks: tuple[Stack, Stack],
) -> None:
    for stack in stacks:
        stack.command("link", "--all")
    assert sorted(stacks[0].filters(SHOP)) == ["one", "two"]
    own = own_log_groups(stacks[0])
    assert len(own) >= 6
    assert [name for name in own if stacks[0].filters(name)] == []


def test_each_stack_ships_a_line_once_and_nothing_of_the_other(
    stacks: tuple[Stack, Stack], loki: Loki | Running, tenants: dict[str, str]
) -> None:
    stacks[0].log(SHOP, ["line"])
    for tenant in tenants.values():
        shipped = awaited(partial(held, loki, tenant, f'{{log_group="{SHOP}"}}'))
        assert [line.line for line in shipped] == ["line"]
        assert held(loki, tenant, OF_A_STACK) == []


def test_an_account_policy_ships_nothing_of_the_other_either(
    stacks: tuple[Stack, Stack], loki: Loki | Running, tenants: dict[str, str], built: SamArtifact
) -> None:
    one, two = stacks
    two.deploy(built.folder, LinkMode="account")
    two.create_log_group("/ecs/search")
    one.log("/ecs/search", ["of all log groups"])
    awaited(lambda: held(loki, tenants["two"], '{log_group="/ecs/search"}'))
    # The policy excludes the logs that it knows; a third stack's log comes, and goes no further.
    two.create_log_group("/aws/lambda/three-shipper", **{OWN_TAG: "three"})
    two.log("/aws/lambda/three-shipper", ["about a delivery"])
    awaited(lambda: '"shipper_log_group":1' in two.own_log("/aws/lambda/two-shipper"))
    assert held(loki, tenants["two"], '{log_group="/aws/lambda/three-shipper"}') == []
    assert held(loki, tenants["two"], OF_A_STACK) == []
    assert held(loki, tenants["one"], '{log_group="/ecs/search"}') == []

    # Back again, no policy is left.
    two.deploy(built.folder, LinkMode="groups")
    policies = two.client("logs").describe_account_policies(policyType="SUBSCRIPTION_FILTER_POLICY")
    assert policies["accountPolicies"] == []
    assert sorted(two.filters(SHOP)) == ["one", "two"]
