"""Plans one action for each log group, from its filters and the selection."""

from collections.abc import Iterable, Iterator
from typing import Literal, assert_never

from msgspec import Struct

from loki_shipper.subscriber.groups.select import Covered, NotSelected, Selected, Selection, select
from loki_shipper.subscriber.model import (
    Filters,
    Gone,
    LogGroup,
    ObservedGroup,
    Reason,
    UnreadableFilters,
)


class PutFilter(Struct, frozen=True, tag_field="action", tag="put"):
    """Put our filter on a log group: a `new` one, or one that replaces ours if it has `changed`."""

    group: str
    pattern: str
    why: Literal["new", "changed"]
    system_fields: tuple[str, ...] = ()


class DeleteFilter(Struct, frozen=True, tag_field="action", tag="delete"):
    """Delete our filter from a log group."""

    group: str
    reason: Reason


class SkipGroup(Struct, frozen=True, tag_field="action", tag="skip"):
    """Leave a log group as it is; `detail` names the obstacle, if there is one."""

    group: str
    reason: Reason
    detail: str = ""


type FilterAction = PutFilter | DeleteFilter | SkipGroup


def plan(groups: Iterable[ObservedGroup], selection: Selection) -> Iterator[FilterAction]:
    """Give one action for each log group, in the same order.

    Lazy, so that a run can read, plan and act on one log group after another. Actions concern the
    filter of our own name only.
    """
    for each in groups:
        match each.filters:
            case Filters() as filters:
                yield _decide(each.group, filters, selection)
            case Gone():
                yield SkipGroup(each.group.name, Reason.GONE)
            case UnreadableFilters(why=why):
                yield SkipGroup(each.group.name, Reason.UNREADABLE, why)
            case _:
                assert_never(each.filters)


def _decide(group: LogGroup, filters: Filters, selection: Selection) -> FilterAction:
    match select(group, selection):
        case Selected() as selected:
            return _link(group, selected, filters, selection.settings.filter_destination)
        case Covered():
            return _unlink(group, filters, Reason.ACCOUNT_POLICY)
        case NotSelected(reason=reason):
            return _unlink(group, filters, reason)
        case verdict:
            assert_never(verdict)


def _unlink(group: LogGroup, filters: Filters, reason: Reason) -> FilterAction:
    return (
        SkipGroup(group.name, reason) if filters.ours is None else DeleteFilter(group.name, reason)
    )


def _link(group: LogGroup, selected: Selected, filters: Filters, destination: str) -> FilterAction:
    ours, pattern = filters.ours, selected.pattern
    if ours is None:
        if filters.full:
            return SkipGroup(group.name, Reason.FULL, ", ".join(filters.foreign))
        return PutFilter(group.name, pattern, "new", selected.system_fields)
    # A filter keeps the fields that it has: somebody may have set them by hand.
    fields = ours.system_fields or selected.system_fields
    if (ours.pattern, ours.destination, ours.system_fields) != (pattern, destination, fields):
        return PutFilter(group.name, pattern, "changed", fields)
    return SkipGroup(group.name, Reason.LINKED)
