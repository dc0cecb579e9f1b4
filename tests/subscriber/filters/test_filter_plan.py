"""Each log group gets one action."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loki_shipper.subscriber.filters.plan import (
    DeleteFilter,
    FilterAction,
    PutFilter,
    SkipGroup,
    plan,
)
from loki_shipper.subscriber.groups.select import Selection
from loki_shipper.subscriber.model import (
    Filter,
    Filters,
    Gone,
    LogGroup,
    ObservedGroup,
    Reason,
    UnreadableFilters,
)
from loki_shipper.subscriber.settings import Condition
from tests.subscriber.fake_aws import OTHERS, SHIPPER, configured

OURS = Filter("", SHIPPER, 1)
IN, OUT = "/aws/lambda/pay", "/ecs/shop"


def seen(name: str, filters: Filters | Gone | UnreadableFilters, **tags: str) -> ObservedGroup:
    return ObservedGroup(LogGroup(name, 0, "STANDARD", tags), filters)


def rules(**fields: Any) -> Selection:
    return Selection(settings=configured(**fields))


@pytest.mark.parametrize(
    ("name", "filters", "action"),
    [
        (IN, Filters(), PutFilter(IN, "", "new")),
        (IN, Filters(None, ("theirs",)), PutFilter(IN, "", "new")),
        (IN, Filters(None, ("a", "b"), full=True), SkipGroup(IN, Reason.FULL, "a, b")),
        (IN, Filters(OURS, ("a",)), SkipGroup(IN, Reason.LINKED)),
        (IN, Filters(Filter("ERROR", SHIPPER, 1)), PutFilter(IN, "", "changed")),
        (IN, Filters(Filter("", OTHERS, 1)), PutFilter(IN, "", "changed")),
        (OUT, Filters(None, ("theirs",)), SkipGroup(OUT, Reason.NOT_INCLUDED)),
        (OUT, Filters(OURS, ("theirs",)), DeleteFilter(OUT, Reason.NOT_INCLUDED)),
        (IN, Gone(), SkipGroup(IN, Reason.GONE)),
        (IN, UnreadableFilters("AccessDenied"), SkipGroup(IN, Reason.UNREADABLE, "AccessDenied")),
    ],
)
def test_plans_one_action_for_each_case(name: str, filters: Any, action: FilterAction) -> None:
    assert list(plan([seen(name, filters)], rules())) == [action]


def test_a_centralized_log_group_gets_the_fields_of_its_lines_sources() -> None:
    ruled = rules(centralized=("/aws/lambda/pay*",))
    fields = ("@aws.account", "@aws.region", "@source.log")
    assert list(plan([seen(IN, Filters())], ruled)) == [PutFilter(IN, "", "new", fields)]
    assert list(plan([seen(IN, Filters(OURS))], ruled)) == [PutFilter(IN, "", "changed", fields)]
    with_fields = Filters(Filter("", SHIPPER, 1, fields))
    assert list(plan([seen(IN, with_fields)], ruled)) == [SkipGroup(IN, Reason.LINKED)]
    other = "/aws/lambda/other"
    assert list(plan([seen(other, Filters())], ruled)) == [PutFilter(other, "", "new")]


@pytest.mark.parametrize("centralized", [(), (IN,)])
def test_fields_that_somebody_set_by_hand_stay(centralized: tuple[str, ...]) -> None:
    ruled, by_hand = rules(centralized=centralized), ("@aws.account",)
    linked = Filters(Filter("", SHIPPER, 1, by_hand))
    assert list(plan([seen(IN, linked)], ruled)) == [SkipGroup(IN, Reason.LINKED)]
    elsewhere = Filters(Filter("", OTHERS, 1, by_hand))
    assert list(plan([seen(IN, elsewhere)], ruled)) == [PutFilter(IN, "", "changed", by_hand)]


def test_unlinks_where_the_tag_has_gone() -> None:
    ruled = rules(tag_conditions=(Condition("team", ()),))
    assert list(plan([seen(IN, Filters(OURS), team="pay")], ruled)) == [
        SkipGroup(IN, Reason.LINKED)
    ]
    assert list(plan([seen(IN, Filters(OURS))], ruled)) == [DeleteFilter(IN, Reason.TAGS)]


FILTERS = st.builds(
    Filters,
    st.none()
    | st.builds(
        Filter,
        st.sampled_from(["", "ERROR"]),
        st.sampled_from([SHIPPER, OTHERS]),
        st.just(1),
        st.sampled_from([(), ("@aws.account",)]),
    ),
    st.lists(st.sampled_from("abc"), unique=True).map(tuple),
    st.booleans(),
)


@given(st.lists(st.tuples(st.sampled_from([IN, OUT, "/own"]), FILTERS)))
def test_a_second_plan_changes_nothing_and_our_own_log_groups_stay(
    found: list[tuple[str, Filters]],
) -> None:
    own, include = ("/own",), ("/aws/lambda/*", "/own")
    ruled = rules(own_log_groups=own, include=include, centralized=(IN,))
    before = [seen(name, filters) for name, filters in found]
    actions = list(plan(before, ruled))
    after = [applied(each, action) for each, action in zip(before, actions, strict=True)]
    assert all(isinstance(action, SkipGroup) for action in plan(after, ruled))
    assert not [each for each in actions if isinstance(each, PutFilter) and each.group == "/own"]


def applied(each: ObservedGroup, action: FilterAction) -> ObservedGroup:
    assert isinstance(each.filters, Filters)
    match action:
        case PutFilter(pattern=pattern, system_fields=fields):
            ours = Filter(pattern, SHIPPER, 1, fields)
            return seen(each.group.name, Filters(ours, each.filters.foreign))
        case DeleteFilter():
            return seen(each.group.name, Filters(None, each.filters.foreign))
        case SkipGroup():
            return each
