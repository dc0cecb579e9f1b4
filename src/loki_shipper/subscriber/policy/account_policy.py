"""The account policy: one subscription for all log groups, except those that it excludes."""

import json
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, structs

from loki_shipper.subscriber.groups.select import NotSelected, Selection, select
from loki_shipper.subscriber.model import LogGroup

_PREFIX: Final = "LogGroupName NOT IN "
_MAX_BYTES = 25 * 1024


class TooManyExcludedError(Exception):
    """Raised when the names of the excluded log groups are longer than AWS allows."""


class Policy(Struct, frozen=True):
    """An account policy: it sends matching lines of all log groups except `excluded`."""

    destination: str
    pattern: str
    excluded: frozenset[str]


class PolicyInForce(Struct, frozen=True):
    """Our account policy, which this run found or put.

    It was put first at `began` and last at `since`, in ms since 1970. It covers the log groups
    `newly` only from `since` on.
    """

    policy: Policy
    began: int
    since: int
    newly: frozenset[str]

    def covers(self, group: LogGroup) -> bool:
        """Tell whether it delivers the lines of a log group."""
        return group.name not in self.policy.excluded


def account_policy(groups: Iterable[LogGroup], selection: Selection) -> Policy:
    """Give the policy that links all selected log groups.

    `groups` are all log groups of the account and Region.
    """
    settings = selection.settings
    nothing = Policy(settings.filter_destination, settings.filter_pattern, frozenset())
    policy = exclude_also(nothing, groups, selection)
    return structs.replace(policy, excluded=policy.excluded.union(settings.own_log_groups))


def exclude_also(before: Policy, groups: Iterable[LogGroup], selection: Selection) -> Policy:
    """Give a policy that follows the selection for these log groups, and `before` for others."""
    is_excluded = {
        group.name: isinstance(select(group, selection), NotSelected) for group in groups
    }
    excluded = {name for name, is_so in is_excluded.items() if is_so}
    return structs.replace(before, excluded=(before.excluded - is_excluded.keys()) | excluded)


def policy_texts(policy: Policy) -> tuple[str, str]:
    """Write a policy's document and selection criteria. Raises TooManyExcludedError."""
    criteria = _PREFIX + json.dumps(sorted(policy.excluded))
    if len(criteria.encode()) > _MAX_BYTES:
        raise TooManyExcludedError(
            f"the names of {len(policy.excluded):,} excluded log groups exceed 25 KB: exclude "
            "fewer, or set LinkMode to groups"
        )
    document = {"DestinationArn": policy.destination, "FilterPattern": policy.pattern}
    return json.dumps(document), criteria


def read_policy(document: str, criteria: str) -> Policy | None:
    """Read the texts that `policy_texts` wrote; None if something else wrote them."""
    try:
        fields = json.loads(document)
        names = json.loads(criteria.removeprefix(_PREFIX))
        return Policy(fields["DestinationArn"], fields["FilterPattern"], frozenset(names))
    except (ValueError, KeyError, TypeError):
        return None
