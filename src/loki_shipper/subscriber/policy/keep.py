"""Plans the account policy, and puts it where it is missing or has to change."""

from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.filters.apply import ActionOutcome, Done, Failed, Skipped
from loki_shipper.subscriber.filters.confirm import FreshTags, is_because_of_tags
from loki_shipper.subscriber.filters.plan import PutFilter, SkipGroup
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.groups.select import Selection, select
from loki_shipper.subscriber.memory import Memory, remembered_state
from loki_shipper.subscriber.model import LogGroup, Reason
from loki_shipper.subscriber.policy.account_policy import (
    Policy,
    PolicyInForce,
    TooManyExcludedError,
    account_policy,
    exclude_also,
    read_policy,
)

POLICY_ROW = "(account policy)"
"""Name under which reports show the policy among log groups."""


class PolicyPlan(Struct, frozen=True):
    """The account policy as it should be, and the change that leads to it; None: no change.

    The policy that is there now was put first at `began` and last at `since`, in ms since 1970, and
    excludes the log groups `excluded`.
    """

    policy: Policy
    change: Literal["new", "changed"] | None
    began: int = 0
    since: int = 0
    excluded: frozenset[str] = frozenset()

    @property
    def action(self) -> PutFilter | SkipGroup:
        """Give the plan as reports show it: as an action on one more log group."""
        if self.change is None:
            return SkipGroup(POLICY_ROW, Reason.LINKED)
        return PutFilter(POLICY_ROW, self.policy.pattern, self.change)


def links_by_policy(selection: Selection) -> bool:
    """Tell whether the account policy links log groups."""
    return selection.settings.link_mode == "account" and not selection.stopped


def plan_policy(
    inventory: Inventory,
    selection: Selection,
    memory: Memory,
    fresh: FreshTags,
    aws: SubscriberAws,
) -> PolicyPlan | None:
    """Compare the account policy that is there with the selection.

    Only a complete inventory tells which log groups a new policy has to exclude. Any other one
    changes an existing policy, for its own log groups; None: there is no policy to change. Raises
    AwsError.
    """
    there = aws.account_policy()
    before = None if there is None else read_policy(there.document, there.criteria)
    if inventory.complete:
        groups = _confirmed(inventory.groups, before, selection, memory, fresh)
        after = account_policy(groups, selection)
    elif before is None:
        return None
    else:
        after = exclude_also(before, inventory.groups, selection)
    if there is None:
        return PolicyPlan(after, "new")
    return PolicyPlan(
        after,
        change=None if before == after else "changed",
        began=memory.policy_since or there.updated,
        since=there.updated,
        excluded=frozenset() if before is None else before.excluded,
    )


def _confirmed(
    groups: Iterable[LogGroup],
    before: Policy | None,
    selection: Selection,
    memory: Memory,
    fresh: FreshTags,
) -> list[LogGroup]:
    """Read the tags again of linked log groups that would be excluded because of their tags."""

    def is_linked(group: LogGroup) -> bool:
        state = remembered_state(memory, group)
        by_policy = before is not None and group.name not in before.excluded
        return by_policy or (state is not None and state.filters.ours is not None)

    return [
        _reread(group, fresh)
        if is_because_of_tags(select(group, selection)) and is_linked(group)
        else group
        for group in groups
    ]


def _reread(group: LogGroup, fresh: FreshTags) -> LogGroup:
    try:
        return fresh(group)
    except AwsError as error:
        if error.kind != "gone":
            raise
        # The log group was deleted, so it does not matter whether the policy excludes it.
        return group


def keep_policy(
    plan: Callable[[], PolicyPlan | None],
    put: Callable[[Policy], None],
    selection: Selection,
    now: Callable[[], int],
) -> tuple[ActionOutcome, PolicyInForce | None]:
    """Carry out the plan for the account policy.

    Returns the outcome, and the policy if it now delivers as the settings say. `plan` and `put`
    raise AwsError, and so does this function if no call could succeed.
    """
    try:
        planned = plan()
        if planned is None:
            return _no_policy(), None
        if planned.change is not None:
            put(planned.policy)
    except TooManyExcludedError as error:
        return Failed(POLICY_ROW, "TooManyExcluded", str(error)), None
    except AwsError as error:
        return _policy_failure(error), None
    match planned.action:
        case PutFilter() as action:
            return Done(action), _in_force(planned, now(), selection)
        case SkipGroup() as skip:
            return Skipped(skip), _in_force(planned, planned.since, selection)


def _in_force(planned: PolicyPlan, since: int, selection: Selection) -> PolicyInForce | None:
    """Give the policy that is there now; None if it delivers as earlier settings said."""
    policy, settings = planned.policy, selection.settings
    delivers = (policy.destination, policy.pattern)
    if delivers != (settings.filter_destination, settings.filter_pattern):
        return None
    newly = planned.excluded - policy.excluded
    return PolicyInForce(policy, planned.began or since, since, newly)


def _no_policy() -> Failed:
    why = "there is none yet: a full sweep puts it, such as `loki-shipper link --all`"
    return Failed(POLICY_ROW, "NoPolicy", why)


def _policy_failure(error: AwsError) -> Failed:
    match error.kind:
        case "expired" | "unreachable":
            raise error
        case "full":
            why = "AWS allows one account policy, and there is another one already"
            return Failed(POLICY_ROW, error.code, why)
        case _:
            return Failed(POLICY_ROW, error.code, str(error))
