"""Decides whether a log group is linked, and with which filter pattern."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from functools import cache
from typing import Final

from msgspec import Struct, structs

from loki_shipper.model import OWN_TAG
from loki_shipper.subscriber.model import LogGroup, Reason
from loki_shipper.subscriber.settings import Condition, SubscriberSettings

_STANDARD = "STANDARD"

SYSTEM_FIELDS: Final = ("@aws.account", "@aws.region", "@source.log")
"""The fields by which a log event of a centralized log group names its source."""


class Selection(Struct, frozen=True, kw_only=True):
    """The rules by which log groups are selected.

    `by_hand`: log groups that people linked (True) or unlinked, whatever the settings say;
    `stopped`: people unlinked everything.
    """

    settings: SubscriberSettings
    by_hand: Mapping[str, bool] = {}
    stopped: bool = False


class Selected(Struct, frozen=True):
    """The log group gets a filter of its own, with this pattern and these system fields."""

    pattern: str
    system_fields: tuple[str, ...] = ()


class Covered(Struct, frozen=True):
    """The account policy links the log group, with this filter pattern."""

    pattern: str


class NotSelected(Struct, frozen=True):
    """The log group is not linked."""

    reason: Reason


type SelectionVerdict = Selected | Covered | NotSelected


def select(group: LogGroup, selection: Selection) -> SelectionVerdict:
    """Decide about one log group.

    The first of these that applies decides: a log group of a Loki-Shipper is never linked; nothing
    is, if everything was unlinked; the choice by hand, else exclude, include and tags; the log
    class; the tenant.
    """
    settings = selection.settings
    reason = _reason_against(group, selection)
    if reason is not None:
        return NotSelected(reason)
    pattern = filter_pattern(group, settings)
    if settings.link_mode == "account":
        return Covered(pattern)
    return Selected(pattern, SYSTEM_FIELDS if is_centralized(group, settings) else ())


def is_centralized(group: LogGroup, settings: SubscriberSettings) -> bool:
    """Tell whether a log group holds lines that centralization copies from other accounts."""
    return _matches(group.name, settings.centralized)


def is_selected(group: LogGroup, selection: Selection) -> bool:
    """Tell whether a log group is selected; `stopped` does not count."""
    return not isinstance(select(group, structs.replace(selection, stopped=False)), NotSelected)


def manual_choices(
    groups: Iterable[LogGroup], selection: Selection, *, linked: bool
) -> dict[str, bool | None]:
    """Give the choices to remember, by log group, when a person links or unlinks these.

    None: the settings decide the same, so no choice is remembered and the settings rule again.
    """
    by_settings = structs.replace(selection, by_hand={}, stopped=False)
    return {
        group.name: linked
        if isinstance(select(group, by_settings), NotSelected) is linked
        else None
        for group in groups
    }


def filter_pattern(group: LogGroup, settings: SubscriberSettings) -> str:
    """Give the filter pattern of a log group: the value of its tag, if a tag may set it.

    The account policy has one pattern for all log groups.
    """
    if settings.filter_pattern_tag is None or settings.link_mode == "account":
        return settings.filter_pattern
    return group.tags.get(settings.filter_pattern_tag, settings.filter_pattern)


def _reason_against(group: LogGroup, selection: Selection) -> Reason | None:
    settings = selection.settings
    if group.name in settings.own_log_groups or OWN_TAG in group.tags:
        return Reason.OWN
    if selection.stopped:
        return Reason.STOPPED
    reason = _reason_not_chosen(group, selection)
    if reason is None and group.log_class != _STANDARD:
        reason = Reason.LOG_CLASS
    if reason is None and _lacks_tenant(group, settings):
        reason = Reason.NO_TENANT
    return reason


def _reason_not_chosen(group: LogGroup, selection: Selection) -> Reason | None:
    settings = selection.settings
    chosen = selection.by_hand.get(group.name)
    if chosen is not None:
        return None if chosen else Reason.BY_HAND
    if _matches(group.name, settings.exclude):
        return Reason.EXCLUDED
    # An account policy can only exclude.
    if settings.link_mode != "account" and not _matches(group.name, settings.include):
        return Reason.NOT_INCLUDED
    if not all(_holds(condition, group.tags) for condition in settings.tag_conditions):
        return Reason.TAGS
    return None


def _lacks_tenant(group: LogGroup, settings: SubscriberSettings) -> bool:
    """Tell whether the shipper would reject a log group's lines because they have no tenant.

    A tenant that Loki refuses counts as one: the lines wait in the bucket until you correct it.
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
