"""Log groups are selected with a pattern, or not selected for a reason."""

from typing import Any

import pytest

from loki_shipper.model import OWN_TAG
from loki_shipper.subscriber.groups.select import Covered, NotSelected, Selected, Selection, select
from loki_shipper.subscriber.model import LogGroup, Reason
from loki_shipper.subscriber.settings import conditions
from tests.subscriber.fake_aws import configured


def group(name: str = "/aws/lambda/pay", log_class: str = "STANDARD", **tags: str) -> LogGroup:
    return LogGroup(name, 0, log_class, tags)


def rules(
    by_hand: dict[str, bool] | None = None, *, stopped: bool = False, **fields: Any
) -> Selection:
    return Selection(settings=configured(**fields), by_hand=by_hand or {}, stopped=stopped)


@pytest.mark.parametrize(
    ("name", "include", "exclude", "reason"),
    [
        ("/aws/lambda/pay", ("/aws/lambda/*",), (), None),
        ("/ecs/pay", ("/aws/lambda/*",), (), Reason.NOT_INCLUDED),
        ("/ecs/pay", ("/aws/lambda/*", "/ecs/p?y"), (), None),
        ("/aws/lambda/pay-test", ("*",), ("*-test",), Reason.EXCLUDED),
        ("/AWS/lambda/pay", ("/aws/*",), (), Reason.NOT_INCLUDED),
        ("pay.1#2", ("*",), ("pay[.]1", "pay"), None),
    ],
)
def test_selects_by_name(name: str, include: Any, exclude: Any, reason: Reason | None) -> None:
    ruled = rules(include=include, exclude=exclude)
    expected = Selected("") if reason is None else NotSelected(reason)
    assert select(group(name), ruled) == expected


@pytest.mark.parametrize(
    ("asked", "tags", "chosen"),
    [
        ("team=pay", {"team": "pay"}, True),
        ("team=pay", {"team": "shop"}, False),
        ("team=pay", {}, False),
        ("team=pay,team=shop", {"team": "shop"}, True),
        ("driver", {"driver": ""}, True),
        ("driver", {}, False),
        ("!internal", {}, True),
        ("!internal", {"internal": "no"}, False),
        ("team=pay,!internal", {"team": "pay", "internal": "no"}, False),
        ("url=a=b", {"url": "a=b"}, True),
    ],
)
def test_selects_by_tags(asked: str, tags: dict[str, str], chosen: bool) -> None:
    found = select(group(**tags), rules(tag_conditions=conditions(asked)))
    assert found == (Selected("") if chosen else NotSelected(Reason.TAGS))


def test_takes_the_filter_pattern_from_the_tag() -> None:
    ruled = rules(filter_pattern="ERROR", filter_pattern_tag="pattern")
    assert select(group(pattern="-DEBUG"), ruled) == Selected("-DEBUG")
    assert select(group(pattern=""), ruled) == Selected("")
    assert select(group(), ruled) == Selected("ERROR")


def test_never_selects_our_own_log_groups() -> None:
    ruled = rules({"/own": True}, include=("*",), own_log_groups=("/own",))
    assert select(group("/own"), ruled) == NotSelected(Reason.OWN)


@pytest.mark.parametrize("link_mode", ["groups", "account"])
def test_never_selects_a_log_group_with_our_tag(link_mode: str) -> None:
    ruled = rules({"/ecs/marked": True}, include=("*",), link_mode=link_mode)
    marked = group("/ecs/marked", **{OWN_TAG: ""})
    assert select(marked, ruled) == NotSelected(Reason.OWN)


def test_a_choice_by_hand_wins() -> None:
    ruled = rules({"/ecs/a": True, "/aws/lambda/b": False})
    assert select(group("/ecs/a"), ruled) == Selected("")
    assert select(group("/aws/lambda/b"), ruled) == NotSelected(Reason.BY_HAND)


@pytest.mark.parametrize("log_class", ["INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS"])
def test_does_not_select_log_classes_without_filters(log_class: str) -> None:
    ruled = rules({"/ecs/a": True})
    assert select(group(log_class=log_class), ruled) == NotSelected(Reason.LOG_CLASS)
    assert select(group("/ecs/a", log_class), ruled) == NotSelected(Reason.LOG_CLASS)
    assert select(group("/ecs/b", log_class), ruled) == NotSelected(Reason.NOT_INCLUDED)


def test_selects_nothing_while_everything_is_unlinked() -> None:
    assert select(group(), rules(stopped=True)) == NotSelected(Reason.STOPPED)
    assert select(group(), rules(stopped=True, link_mode="account")) == NotSelected(Reason.STOPPED)


# Whose lines they are


def test_does_not_select_a_log_group_without_a_tenant() -> None:
    ruled = rules({"/ecs/a": True}, tenant_tag="tenant")
    assert select(group(), ruled) == NotSelected(Reason.NO_TENANT)
    assert select(group("/ecs/a"), ruled) == NotSelected(Reason.NO_TENANT)
    assert select(group(tenant="t1"), ruled) == Selected("")
    # Loki would not take it as a tenant: these lines wait in the bucket until it is corrected.
    assert select(group(tenant="a|b"), ruled) == Selected("")
    assert select(group(tenant=""), ruled) == Selected("")


def test_selects_a_log_group_without_its_own_tenant_if_there_is_a_default() -> None:
    assert select(group(), rules(tenant_tag="tenant", loki_tenant="rest")) == Selected("")
    assert select(group(), rules(loki_tenant="rest")) == Selected("")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"exclude": ("*",)}, Reason.EXCLUDED),
        ({"include": ("/ecs/*",)}, Reason.NOT_INCLUDED),
        ({"tag_conditions": conditions("team")}, Reason.TAGS),
    ],
)
def test_the_selection_comes_before_the_tenant_as_a_reason(fields: Any, reason: Reason) -> None:
    assert select(group(), rules(tenant_tag="tenant", **fields)) == NotSelected(reason)
    assert select(group(log_class="DELIVERY"), rules(tenant_tag="tenant")) == NotSelected(
        Reason.LOG_CLASS
    )


# In a mode of account


def test_the_account_policy_covers_the_selected_log_groups() -> None:
    ruled = rules(
        {"/ecs/off": False},
        link_mode="account",
        exclude=("*-test",),
        own_log_groups=("/own",),
        filter_pattern="ERROR",
        filter_pattern_tag="pattern",
    )
    # Includes play no part, nor do patterns of single log groups.
    assert select(group("/ecs/a", pattern="-DEBUG"), ruled) == Covered("ERROR")
    assert select(group("/ecs/a-test"), ruled) == NotSelected(Reason.EXCLUDED)
    assert select(group("/ecs/off"), ruled) == NotSelected(Reason.BY_HAND)
    assert select(group("/own"), ruled) == NotSelected(Reason.OWN)
    owned = rules(link_mode="account", tenant_tag="tenant")
    assert select(group("/ecs/a"), owned) == NotSelected(Reason.NO_TENANT)
