"""Reads the tags of single log groups again where stale tags could cost lines.

A sweep reads tags with GetResources, which may be minutes behind.
"""

from collections.abc import Callable

from msgspec import structs

from loki_shipper.shipper.labels.tag_index import Tagged
from loki_shipper.subscriber.filters.plan import DeleteFilter, FilterAction, PutFilter, plan
from loki_shipper.subscriber.groups.select import NotSelected, Selection, SelectionVerdict
from loki_shipper.subscriber.model import LogGroup, ObservedGroup, Reason
from loki_shipper.subscriber.settings import SubscriberSettings

_BY_TAGS = {Reason.OWN, Reason.TAGS, Reason.NO_TENANT}

_NEW_MS = 600_000
"""Time for which GetResources may not show the tags of a new log group, in ms."""


class FreshTags:
    """Reads tags one log group at a time, and keeps them in `tagged` for the tag index.

    `tags` reads those of a log group by its name and raises AwsError; `now` is in ms since 1970.
    """

    def __init__(self, tags: Callable[[str], dict[str, str]], now: Callable[[], int]) -> None:
        self._tags = tags
        self.now = now
        self.tagged: dict[str, Tagged] = {}

    def __call__(self, group: LogGroup) -> LogGroup:
        """Give a log group with fresh tags. Raises AwsError."""
        now = self.now()
        tags = self._tags(group.name)
        self.tagged[group.name] = Tagged(now, tags)
        return structs.replace(group, tags=tags)


def is_because_of_tags(verdict: SelectionVerdict) -> bool:
    """Tell whether a log group is not selected because of its tags."""
    return isinstance(verdict, NotSelected) and verdict.reason in _BY_TAGS


def confirm(
    observed: ObservedGroup, action: FilterAction, selection: Selection, fresh: FreshTags
) -> tuple[ObservedGroup, FilterAction]:
    """Plan again with fresh tags if tags decide the action; else return the arguments.

    Raises AwsError.
    """
    if not _depends_on_tags(observed.group, action, selection.settings, fresh.now()):
        return observed, action
    again = ObservedGroup(fresh(observed.group), observed.filters)
    [action] = plan([again], selection)
    return again, action


def _depends_on_tags(
    group: LogGroup, action: FilterAction, settings: SubscriberSettings, now: int
) -> bool:
    match action:
        case DeleteFilter(reason=reason):
            return reason in _BY_TAGS
        case PutFilter():
            # A tag may hold the filter pattern. The tag of another Loki-Shipper forbids the filter.
            return settings.filter_pattern_tag is not None or now - group.created < _NEW_MS
        case _:
            return False
