"""From log groups with their filters, and rules, to what is to be done."""

from collections.abc import Iterable, Iterator
from typing import Literal, assert_never

from msgspec import Struct

from loki_shipper.subscriber.model import Filters, Gone, LogGroup, Reason, Seen, Unreadable
from loki_shipper.subscriber.select import Covered, Passed, Rules, Selected, select


class Put(Struct, frozen=True, tag_field="action", tag="put"):
    """Put our filter on a log group: a `new` one, or over ours that has `changed`."""

    group: str
    pattern: str
    why: Literal["new", "changed"]


class Delete(Struct, frozen=True, tag_field="action", tag="delete"):
    """Delete our filter from a log group."""

    group: str
    reason: Reason


class Skip(Struct, frozen=True, tag_field="action", tag="skip"):
    """Leave a log group as it is; `detail` names what stands in the way, if something does."""

    group: str
    reason: Reason
    detail: str = ""


type Action = Put | Delete | Skip


def plan(seen: Iterable[Seen], rules: Rules) -> Iterator[Action]:
    """Say for each log group what is to be done, one action each, in the order they come.

    Lazy, so that looking, deciding and doing can take turns. Only the filter of our own name is
    ever put or deleted.
    """
    for each in seen:
        match each.filters:
            case Filters() as filters:
                yield _decide(each.group, filters, rules)
            case Gone():
                yield Skip(each.group.name, Reason.GONE)
            case Unreadable(why=why):
                yield Skip(each.group.name, Reason.UNREADABLE, why)
            case _:
                assert_never(each.filters)


def _decide(group: LogGroup, filters: Filters, rules: Rules) -> Action:
    match select(group, rules):
        case Selected(pattern=pattern):
            return _link(group, pattern, filters, rules.settings.shipper_arn)
        case Covered():
            return _unlink(group, filters, Reason.ACCOUNT_POLICY)
        case Passed(reason=reason):
            return _unlink(group, filters, reason)
        case verdict:
            assert_never(verdict)


def _unlink(group: LogGroup, filters: Filters, reason: Reason) -> Action:
    return Skip(group.name, reason) if filters.ours is None else Delete(group.name, reason)


def _link(group: LogGroup, pattern: str, filters: Filters, destination: str) -> Action:
    ours = filters.ours
    if ours is None:
        if filters.full:
            return Skip(group.name, Reason.FULL, ", ".join(filters.foreign))
        return Put(group.name, pattern, "new")
    if (ours.pattern, ours.destination) != (pattern, destination):
        return Put(group.name, pattern, "changed")
    return Skip(group.name, Reason.LINKED)
