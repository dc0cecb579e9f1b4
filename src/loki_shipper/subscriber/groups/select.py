"""From a log group to whether it is to be linked, and with which filter pattern."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import cache

from msgspec import Struct, structs

from loki_shipper.model import OWN_TAG
from loki_shipper.subscriber.model import LogGroup, Reason
from loki_shipper.subscriber.settings import Condition, SubscriberSettings

_STANDARD = "STANDARD"


class Selection(Struct, frozen=True, kw_only=True):
    """Which log groups are linked, to what.

    `by_hand` says of single log groups whether they are, whatever the settings say; `stopped`: none
    is. `settings` holds the rest.
    """

    settings: SubscriberSettings
    by_hand: Mapping[str, bool] = {}
    stopped: bool = False


class Selected(Struct, frozen=True):
    """To be linked by a filter of its own, with this filter pattern."""

    pattern: str


class Covered(Struct, frozen=True):
    """To be linked by the account policy, with this filter pattern."""

    pattern: str


class NotSelected(Struct, frozen=True):
    """Not to be linked."""

    reason: Reason


type SelectionVerdict = Selected | Covered | NotSelected


def select(group: LogGroup, rules: Selection) -> SelectionVerdict:
    """Decide about one log group.

    In this order: those of Loki-Shippers never; nothing at all, where so ordered; by hand, else by
    exclude, include and tags; by log class; by tenant.
    """
    settings = rules.settings
    reason = _passed_over(group, rules)
    if reason is not None:
        return NotSelected(reason)
    pattern = filter_pattern(group, settings)
    return Covered(pattern) if settings.link_mode == "account" else Selected(pattern)


def is_selected(group: LogGroup, rules: Selection) -> bool:
    """Tell whether a log group is to be linked; an order to unlink everything does not count."""
    return not isinstance(select(group, structs.replace(rules, stopped=False)), NotSelected)


def manual_choices(
    groups: Iterable[LogGroup], selection: Selection, *, linked: bool
) -> dict[str, bool | None]:
    """Give what to remember so that these log groups are linked, or not, whatever the settings say.

    None: the settings say the same, so an earlier choice is forgotten and the settings rule again.
    """
    unordered = structs.replace(selection, by_hand={}, stopped=False)
    return {
        group.name: linked if isinstance(select(group, unordered), NotSelected) is linked else None
        for group in groups
    }


def filter_pattern(group: LogGroup, settings: SubscriberSettings) -> str:
    """Give the filter pattern of a log group: its own, where a tag names one.

    The account policy has one for all.
    """
    if settings.filter_pattern_tag is None or settings.link_mode == "account":
        return settings.filter_pattern
    return group.tags.get(settings.filter_pattern_tag, settings.filter_pattern)


def _passed_over(group: LogGroup, rules: Selection) -> Reason | None:
    settings = rules.settings
    if group.name in settings.own_log_groups or OWN_TAG in group.tags:
        return Reason.OWN
    if rules.stopped:
        return Reason.STOPPED
    reason = _unchosen(group, rules)
    if reason is None and group.log_class != _STANDARD:
        reason = Reason.LOG_CLASS
    if reason is None and _is_nobodys(group, settings):
        reason = Reason.NO_TENANT
    return reason


def _unchosen(group: LogGroup, rules: Selection) -> Reason | None:
    settings = rules.settings
    chosen = rules.by_hand.get(group.name)
    if chosen is not None:
        return None if chosen else Reason.BY_HAND
    if _matches(group.name, settings.exclude):
        return Reason.EXCLUDED
    # An account policy knows exceptions only.
    if settings.link_mode != "account" and not _matches(group.name, settings.include):
        return Reason.NOT_INCLUDED
    if not all(_holds(condition, group.tags) for condition in settings.tag_conditions):
        return Reason.TAGS
    return None


def _is_nobodys(group: LogGroup, settings: SubscriberSettings) -> bool:
    """Tell whether the shipper would have no tenant for a log group's lines, and reject them.

    A tenant that Loki would not take is one: the lines wait in the bucket until it is corrected.
    """
    tag = settings.tenant_tag
    return tag is not None and settings.loki_tenant is None and tag not in group.tags


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
