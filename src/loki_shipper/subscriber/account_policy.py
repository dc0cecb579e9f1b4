"""The other mode: one account policy for all log groups but the excluded."""

import json
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.select import Passed, Rules, select

_PREFIX: Final = "LogGroupName NOT IN "
_MAX_BYTES = 25 * 1024


class TooManyExcludedError(Exception):
    """Raised when the excluded log groups' names are longer together than AWS takes."""


class Policy(Struct, frozen=True):
    """An account policy: everything that matches goes there, but for these log groups."""

    destination: str
    pattern: str
    excluded: frozenset[str]


def account_policy(
    groups: Iterable[LogGroup], rules: Rules, before: Policy | None = None
) -> Policy:
    """Give the policy that links all log groups but those that the rules pass over.

    `groups` are all there are, or those that may have changed since `before`.
    """
    excluded = set() if before is None else set(before.excluded)
    for group in groups:
        if isinstance(select(group, rules), Passed):
            excluded.add(group.name)
        else:
            excluded.discard(group.name)
    settings = rules.settings
    return Policy(
        settings.shipper_arn,
        settings.filter_pattern,
        frozenset(excluded.union(settings.own_log_groups)),
    )


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
