"""The other mode: one account policy for all log groups but the excluded."""

import json
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, structs

from loki_shipper.subscriber.groups.select import NotSelected, Selection, select
from loki_shipper.subscriber.model import LogGroup

_PREFIX: Final = "LogGroupName NOT IN "
_MAX_BYTES = 25 * 1024


class TooManyExcludedError(Exception):
    """Raised when the excluded log groups' names are longer together than AWS takes."""


class Policy(Struct, frozen=True):
    """An account policy: everything that matches goes there, but for these log groups."""

    destination: str
    pattern: str
    excluded: frozenset[str]


class InForce(Struct, frozen=True):
    """Our account policy, which was seen to be there.

    It was put first at `began` and last at `since`, in ms since 1970; until then it did not cover
    the `newly` covered log groups.
    """

    policy: Policy
    began: int
    since: int
    newly: frozenset[str]

    def covers(self, group: LogGroup) -> bool:
        """Tell whether it delivers a log group's lines."""
        return group.name not in self.policy.excluded


def account_policy(groups: Iterable[LogGroup], rules: Selection) -> Policy:
    """Give the policy that links all log groups but those that the rules pass over.

    `groups` are all there are.
    """
    settings = rules.settings
    nothing = Policy(settings.shipper_arn, settings.filter_pattern, frozenset())
    policy = exclude_also(nothing, groups, rules)
    return structs.replace(policy, excluded=policy.excluded.union(settings.own_log_groups))


def exclude_also(before: Policy, groups: Iterable[LogGroup], rules: Selection) -> Policy:
    """Give a policy that says of these log groups what the rules say, and of others as before."""
    passed = {group.name: isinstance(select(group, rules), NotSelected) for group in groups}
    excluded = {name for name, is_passed in passed.items() if is_passed}
    return structs.replace(before, excluded=(before.excluded - passed.keys()) | excluded)


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
    """Read what `policy_texts` wrote; None where it is another's writing."""
    try:
        said = json.loads(document)
        names = json.loads(criteria.removeprefix(_PREFIX))
        return Policy(said["DestinationArn"], said["FilterPattern"], frozenset(names))
    except (ValueError, KeyError, TypeError):
        return None
