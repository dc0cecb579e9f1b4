"""Chooses the log groups of an audit: those that are linked or should be."""

from collections.abc import Iterable, Iterator

from loki_shipper.audit.model import AuditedGroup
from loki_shipper.subscriber.groups.select import (
    NotSelected,
    Selection,
    filter_pattern,
    is_centralized,
    select,
)
from loki_shipper.subscriber.memory import Memory, remembered_state
from loki_shipper.subscriber.model import Filters, LogGroup, ObservedGroup

_HOUR_MS = 3_600_000


def audited_groups(
    observed: Iterable[ObservedGroup], memory: Memory, selection: Selection
) -> Iterator[AuditedGroup]:
    """Give the log groups to audit.

    Centralized log groups are left out: the shipper counts their lines by the log group that they
    come from.
    """
    for each in observed:
        group = each.group
        ours = each.filters.ours if isinstance(each.filters, Filters) else None
        is_chosen = not isinstance(select(group, selection), NotSelected)
        if is_centralized(group, selection.settings) or not (is_chosen or ours is not None):
            continue
        state = remembered_state(memory, group)
        since = state.since if state is not None else None if ours is None else ours.since
        yield AuditedGroup(
            group.name,
            None if since is None else since // _HOUR_MS,
            filter_pattern(group, selection.settings) if ours is None else ours.pattern,
            (_tenant(group, selection),),
            group.created // _HOUR_MS,
        )


def _tenant(group: LogGroup, selection: Selection) -> str | None:
    settings = selection.settings
    tagged = None if settings.tenant_tag is None else group.tags.get(settings.tenant_tag)
    return tagged or settings.loki_tenant
