"""From a log group to whether it is to be linked, and with which filter pattern."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import cache

from msgspec import Struct

from loki_shipper.subscriber.model import LogGroup, Reason
from loki_shipper.subscriber.settings import Condition, Settings

_STANDARD = "STANDARD"


class Rules(Struct, frozen=True, kw_only=True):
    """Which log groups are linked, to what.

    `by_hand` says of single log groups whether they are, whatever the other rules say; `nothing`
    why none is to have a filter. `settings` holds the rest.
    """

    settings: Settings
    by_hand: Mapping[str, bool] = {}
    nothing: Reason | None = None


class Selected(Struct, frozen=True):
    """To be linked, with this filter pattern."""

    pattern: str


class Passed(Struct, frozen=True):
    """Not to be linked."""

    reason: Reason


def select(group: LogGroup, rules: Rules) -> Selected | Passed:
    """Decide about one log group.

    In this order: our own never; nothing at all, where so ordered; by hand; by log class; by
    exclude, include, tags.
    """
    if group.name in rules.settings.own_log_groups:
        return Passed(Reason.OWN)
    if rules.nothing is not None:
        return Passed(rules.nothing)
    chosen = rules.by_hand.get(group.name)
    reason = Reason.BY_HAND if chosen is False else None
    if chosen is None:
        reason = _unchosen(group, rules.settings)
    if reason is None and group.log_class != _STANDARD:
        reason = Reason.LOG_CLASS
    return Selected(filter_pattern(group, rules.settings)) if reason is None else Passed(reason)


def filter_pattern(group: LogGroup, settings: Settings) -> str:
    """Give the filter pattern of a log group: its own, where a tag names one.

    The account policy has one for all.
    """
    if settings.filter_pattern_tag is None or settings.link_mode == "account":
        return settings.filter_pattern
    return group.tags.get(settings.filter_pattern_tag, settings.filter_pattern)


def _unchosen(group: LogGroup, settings: Settings) -> Reason | None:
    if _matches(group.name, settings.exclude):
        return Reason.EXCLUDED
    if not _matches(group.name, settings.include):
        return Reason.NOT_INCLUDED
    if not all(_holds(condition, group.tags) for condition in settings.tag_conditions):
        return Reason.TAGS
    return None


def _matches(name: str, globs: Iterable[str]) -> bool:
    return any(_regex(glob).match(name) for glob in globs)


@cache
def _regex(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _holds(condition: Condition, tags: Mapping[str, str]) -> bool:
    match condition.values:
        case None:
            return condition.key not in tags
        case ():
            return condition.key in tags
        case values:
            return tags.get(condition.key) in values
