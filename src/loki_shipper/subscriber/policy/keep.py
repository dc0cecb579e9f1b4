"""Keeps the account policy as it should be: there before filters go, gone after they have come."""

from collections.abc import Callable, Iterable
from typing import assert_never

from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.filters.apply import ActionOutcome, Done, Failed, Skipped
from loki_shipper.subscriber.filters.confirm import FreshTags, is_by_tags
from loki_shipper.subscriber.filters.plan import PutFilter, SkipGroup
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.groups.select import Selection, select
from loki_shipper.subscriber.memory import Memory, remembered_state
from loki_shipper.subscriber.model import LogGroup, Reason
from loki_shipper.subscriber.policy.account_policy import (
    InForce,
    Policy,
    TooManyExcludedError,
    account_policy,
    exclude_also,
    read_policy,
)

POLICY = "(account policy)"
"""Stands for a log group's name where an action is about the account policy."""


class Wanted(Struct, frozen=True):
    """The account policy as it should be, and what is to be done for it.

    The one that is there was put first at `began` and last at `since`, in ms since 1970, and
    excludes the log groups `excluded`.
    """

    policy: Policy
    action: PutFilter | SkipGroup
    began: int = 0
    since: int = 0
    excluded: frozenset[str] = frozenset()


def is_by_policy(rules: Selection) -> bool:
    """Tell whether log groups are linked by the account policy."""
    return rules.settings.link_mode == "account" and not rules.stopped


def wanted_policy(
    found: Inventory, rules: Selection, memory: Memory, fresh: FreshTags, aws: SubscriberAws
) -> Wanted | None:
    """Say what is to be done about the account policy.

    Only a look at all log groups tells what a new policy has to exclude. Others change the policy
    that is there, for the log groups that they looked at; None: there is none. Raises AwsError.
    """
    there = aws.account_policy()
    before = None if there is None else read_policy(there.document, there.criteria)
    if found.whole:
        after = account_policy(_confirmed(found.groups, before, rules, memory, fresh), rules)
    elif before is None:
        return None
    else:
        after = exclude_also(before, found.groups, rules)
    if there is None:
        return Wanted(after, PutFilter(POLICY, after.pattern, "new"))
    action = (
        SkipGroup(POLICY, Reason.LINKED)
        if before == after
        else PutFilter(POLICY, after.pattern, "changed")
    )
    excluded = frozenset[str]() if before is None else before.excluded
    return Wanted(after, action, memory.policy_since or there.updated, there.updated, excluded)


def _confirmed(
    groups: Iterable[LogGroup],
    before: Policy | None,
    rules: Selection,
    memory: Memory,
    fresh: FreshTags,
) -> list[LogGroup]:
    """Read tags again of log groups that are linked and are to be excluded for their tags."""

    def is_linked(group: LogGroup) -> bool:
        known = remembered_state(memory, group)
        by_policy = before is not None and group.name not in before.excluded
        return by_policy or (known is not None and known.filters.ours is not None)

    return [
        _reread(group, fresh) if is_by_tags(select(group, rules)) and is_linked(group) else group
        for group in groups
    ]


def _reread(group: LogGroup, fresh: FreshTags) -> LogGroup:
    try:
        return fresh(group)
    except AwsError as error:
        if error.kind != "gone":
            raise
        # It was deleted meanwhile: it does not matter whether the policy excludes it.
        return group


def keep_policy(
    look: Callable[[], Wanted | None],
    put: Callable[[Policy], None],
    rules: Selection,
    now: Callable[[], int],
) -> tuple[ActionOutcome, InForce | None]:
    """Put the account policy, or find it as it should be; None: it is not in force as it should be.

    `look` is `wanted_policy`, `put` puts a policy; both raise AwsError. Raises it where nothing can
    be done at all.
    """
    try:
        wanted = look()
        if wanted is None:
            return _not_there(), None
        if isinstance(wanted.action, PutFilter):
            put(wanted.policy)
    except TooManyExcludedError as error:
        return Failed(POLICY, "TooManyExcluded", str(error)), None
    except AwsError as error:
        return _understood(error), None
    match wanted.action:
        case PutFilter() as action:
            return Done(action), _in_force(wanted, now(), rules)
        case SkipGroup() as skip:
            return Skipped(skip), _in_force(wanted, wanted.since, rules)
        case _:
            assert_never(wanted.action)


def _in_force(wanted: Wanted, since: int, rules: Selection) -> InForce | None:
    """Give the policy that is there now; None: it delivers as the settings were before."""
    policy, settings = wanted.policy, rules.settings
    delivers = (policy.destination, policy.pattern)
    if delivers != (settings.shipper_arn, settings.filter_pattern):
        return None
    return InForce(policy, wanted.began or since, since, wanted.excluded - policy.excluded)


def _not_there() -> Failed:
    why = "there is none yet: a look at all log groups puts it, such as `loki-shipper link --all`"
    return Failed(POLICY, "NoPolicy", why)


def _understood(error: AwsError) -> Failed:
    match error.kind:
        case "expired" | "unreachable":
            raise error
        case "full":
            return Failed(POLICY, error.code, "there is somebody else's, and room for one")
        case _:
            return Failed(POLICY, error.code, str(error))
