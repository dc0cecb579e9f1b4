"""Decides again by tags that are read one by one, where those of a sweep could cost lines.

GetResources, from which a sweep has its tags, may be behind for minutes.
"""

from collections.abc import Callable

from msgspec import structs

from loki_shipper.shipper.labels.tag_index import Tagged
from loki_shipper.subscriber.filters.plan import DeleteFilter, FilterAction, PutFilter, plan
from loki_shipper.subscriber.groups.select import NotSelected, Selection, SelectionVerdict
from loki_shipper.subscriber.model import LogGroup, Reason, Seen
from loki_shipper.subscriber.settings import SubscriberSettings

_BY_TAGS = {Reason.OWN, Reason.TAGS, Reason.NO_TENANT}

_NEW_MS = 600_000
"""How long GetResources may not show the tags of a new log group, in ms."""


class FreshTags:
    """Reads tags one log group at a time; `read` keeps them, as they are news for the index.

    `tags` gives those of a log group by its name and raises AwsError, `now` is in ms since 1970.
    """

    def __init__(self, tags: Callable[[str], dict[str, str]], now: Callable[[], int]) -> None:
        self._tags = tags
        self.now = now
        self.read: dict[str, Tagged] = {}

    def __call__(self, group: LogGroup) -> LogGroup:
        """Give a log group with its fresh tags. Raises AwsError."""
        now = self.now()
        tags = self._tags(group.name)
        self.read[group.name] = Tagged(now, tags)
        return structs.replace(group, tags=tags)


def is_by_tags(verdict: SelectionVerdict) -> bool:
    """Tell whether it is for its tags that a log group is not linked."""
    return isinstance(verdict, NotSelected) and verdict.reason in _BY_TAGS


def confirm(
    seen: Seen, action: FilterAction, rules: Selection, fresh: FreshTags
) -> tuple[Seen, FilterAction]:
    """Give a log group and what is to be done about it, by fresh tags where tags decide.

    Raises AwsError.
    """
    if not _hangs_on_tags(seen.group, action, rules.settings, fresh.now()):
        return seen, action
    again = Seen(fresh(seen.group), seen.filters)
    [action] = plan([again], rules)
    return again, action


def _hangs_on_tags(
    group: LogGroup, action: FilterAction, settings: SubscriberSettings, now: int
) -> bool:
    match action:
        case DeleteFilter(reason=reason):
            return reason in _BY_TAGS
        case PutFilter():
            # The pattern decides which lines are delivered; a mark, whether any are.
            return settings.filter_pattern_tag is not None or now - group.created < _NEW_MS
        case _:
            return False
