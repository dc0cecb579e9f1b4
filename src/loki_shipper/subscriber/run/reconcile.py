"""The spine of linking: look, plan, do, remember."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from loki_shipper.aws.errors import AwsError
from loki_shipper.clock import wait_until
from loki_shipper.subscriber.filters.apply import ActionOutcome, FilterWriter, apply, understood
from loki_shipper.subscriber.filters.confirm import FreshTags, confirm
from loki_shipper.subscriber.filters.observe import FilterReader, RecheckPolicy, observe
from loki_shipper.subscriber.filters.plan import DeleteFilter, FilterAction, SkipGroup, plan
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.groups.select import Selection, is_selected
from loki_shipper.subscriber.memory import Memory
from loki_shipper.subscriber.model import EFFECTIVE_MS, Reason, Seen
from loki_shipper.subscriber.policy.account_policy import Policy, policy_texts
from loki_shipper.subscriber.policy.keep import (
    is_by_policy,
    keep_policy,
    wanted_policy,
)
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, read_memory, remember
from loki_shipper.subscriber.run.run_state import RunState
from loki_shipper.subscriber.run.stop_order import StopOrder, UnlinkOrderedError
from loki_shipper.subscriber.settings import SubscriberSettings


def selection(settings: SubscriberSettings, memory: Memory) -> Selection:
    """Join what the settings say with what people ordered."""
    return Selection(settings=settings, by_hand=memory.by_hand, stopped=memory.stopped)


def planned(
    found: Inventory,
    ruled: Selection,
    memory: Memory,
    recheck: RecheckPolicy,
    deps: SubscriberDependencies,
) -> Iterator[FilterAction]:
    """Say what `reconcile` would do, action by action, and do nothing. Raises AwsError."""
    fresh = FreshTags(deps.aws.tags, deps.clock.now)
    if is_by_policy(ruled):
        wanted = wanted_policy(found, ruled, memory, fresh, deps.aws)
        if wanted is not None:
            yield wanted.action
    for seen in _observe(found, ruled, memory, recheck, deps):
        [action] = plan([seen], ruled)
        yield _foretold(seen, action, ruled, fresh) if found.whole else action


def _foretold(seen: Seen, action: FilterAction, ruled: Selection, fresh: FreshTags) -> FilterAction:
    try:
        return confirm(seen, action, ruled, fresh)[1]
    except AwsError as error:
        if error.kind != "gone":
            raise
        return SkipGroup(action.group, Reason.GONE)


def reconcile(
    found: Inventory,
    ruled: Selection,
    memory: Memory,
    recheck: RecheckPolicy,
    deps: SubscriberDependencies,
) -> RunState:
    """Link and unlink as the rules say, until time is up or everything is ordered to be unlinked.

    What was done is remembered also where this ends early. Raises AwsError, ConflictError.
    """
    fresh = FreshTags(deps.aws.tags, deps.clock.now)
    state = RunState(found, memory, deps.settings.shipper_arn, fresh.read)
    seen = _observe(found, ruled, memory, recheck, deps)
    try:
        _LinkRun(found, ruled, fresh, state, deps).link(seen)
    except UnlinkOrderedError:
        state.stopped = True
    finally:
        remember(state.memory_update(), deps)
    return state


class _LinkRun:
    """One run over the log groups that were found."""

    def __init__(
        self,
        found: Inventory,
        ruled: Selection,
        fresh: FreshTags,
        state: RunState,
        deps: SubscriberDependencies,
    ) -> None:
        self._found = found
        self._ruled = ruled
        self._fresh = fresh
        self._tally = state
        self._deps = deps
        order = StopOrder(lambda: read_memory(deps), deps.clock.now, found.began)
        self._ready: Callable[[], None] = _nothing if ruled.stopped else order.check
        self._hands = FilterWriter(self._put_filter, deps.aws.delete_filter)

    def link(self, groups: Iterable[Seen]) -> None:
        """Link and unlink. Raises StoppedError, AwsError."""
        if is_by_policy(self._ruled) and not self._keep_policy():
            # Nothing else would deliver what a filter does not deliver any more.
            return
        for group in groups:
            self._ready()
            try:
                seen, action = self._decide(group)
            except AwsError as error:
                self._count(
                    group, understood(SkipGroup(group.group.name, Reason.UNREADABLE), error)
                )
                continue
            if not self._is_time_for(action):
                return
            self._count(seen, apply(action, self._hands))
        self._drop_policy()

    def _keep_policy(self) -> bool:
        """Tell whether the account policy is in force, after all was done for it."""
        look = partial(
            wanted_policy, self._found, self._ruled, self._tally.memory, self._fresh, self._deps.aws
        )
        outcome, in_force = keep_policy(look, self._put_policy, self._ruled, self._deps.clock.now)
        self._tally.add_policy(outcome, in_force)
        self._deps.tell(outcome)
        return in_force is not None

    def _drop_policy(self) -> None:
        """Delete the account policy where it has had its day, and each log group has its filter.

        Where log groups are to be linked one by one, that takes a run that has linked them all, and
        filters that are effective; else the policy stays for the next run. Raises AwsError.
        """
        state, rules = self._tally, self._ruled
        may_be_there = state.memory.account_policy or rules.settings.link_mode == "account"
        if is_by_policy(rules) or not may_be_there or not state.whole:
            return
        if not rules.stopped and not (
            state.is_clean and wait_until(state.newest_filter + EFFECTIVE_MS, self._deps.clock)
        ):
            return
        self._deps.aws.delete_account_policy()
        state.account_policy = False

    def _decide(self, seen: Seen) -> tuple[Seen, FilterAction]:
        [action] = plan([seen], self._ruled)
        # Tags of log groups that were named are fresh already.
        return (
            confirm(seen, action, self._ruled, self._fresh) if self._found.whole else (seen, action)
        )

    def _is_time_for(self, action: FilterAction) -> bool:
        """Wait until the policy delivers before a filter goes; False where the run ends before."""
        in_force = self._tally.in_force
        match action:
            case DeleteFilter(reason=Reason.ACCOUNT_POLICY) if in_force is not None:
                return wait_until(in_force.since + EFFECTIVE_MS, self._deps.clock)
            case _:
                return True

    def _count(self, seen: Seen, outcome: ActionOutcome) -> None:
        self._tally.add(seen, outcome, self._deps.clock.now())
        self._deps.tell(outcome)

    def _put_filter(self, group: str, pattern: str) -> None:
        self._deps.aws.put_filter(group, pattern, self._ready)

    def _put_policy(self, policy: Policy) -> None:
        self._deps.aws.put_account_policy(*policy_texts(policy), self._ready)


def _nothing() -> None:
    """Let a run go on that links nothing anyway."""


def _observe(
    found: Inventory,
    ruled: Selection,
    memory: Memory,
    recheck: RecheckPolicy,
    deps: SubscriberDependencies,
) -> Iterator[Seen]:
    reader = FilterReader(deps.aws.filters, deps.clock.remaining)
    return observe(found.groups, memory, recheck, reader, partial(is_selected, rules=ruled))
