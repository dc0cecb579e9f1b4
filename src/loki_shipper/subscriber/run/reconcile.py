"""Links and unlinks log groups: observe, plan, apply, remember."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from loki_shipper.aws.errors import AwsError
from loki_shipper.clock import wait_until
from loki_shipper.subscriber.filters.apply import (
    ActionOutcome,
    FilterWriter,
    apply,
    outcome_of_error,
)
from loki_shipper.subscriber.filters.confirm import FreshTags, confirm
from loki_shipper.subscriber.filters.observe import FilterReader, RecheckPolicy, observe
from loki_shipper.subscriber.filters.plan import (
    DeleteFilter,
    FilterAction,
    PutFilter,
    SkipGroup,
    plan,
)
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.groups.select import Selection, is_selected
from loki_shipper.subscriber.memory import Memory
from loki_shipper.subscriber.model import EFFECTIVE_MS, ObservedGroup, Reason
from loki_shipper.subscriber.policy.account_policy import Policy, policy_texts
from loki_shipper.subscriber.policy.keep import keep_policy, links_by_policy, plan_policy
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, read_memory, remember
from loki_shipper.subscriber.run.link_log_buckets import link_log_buckets
from loki_shipper.subscriber.run.run_state import RunState
from loki_shipper.subscriber.run.stop_order import StopOrder, UnlinkAllError
from loki_shipper.subscriber.settings import SubscriberSettings


def current_selection(settings: SubscriberSettings, memory: Memory) -> Selection:
    """Join the settings with the choices of people."""
    return Selection(settings=settings, by_hand=memory.by_hand, stopped=memory.stopped)


def planned_actions(
    inventory: Inventory,
    selection: Selection,
    memory: Memory,
    recheck: RecheckPolicy,
    deps: SubscriberDependencies,
) -> Iterator[FilterAction]:
    """Give the actions that `reconcile` would carry out. Raises AwsError."""
    fresh = FreshTags(deps.aws.tags, deps.clock.now)
    if links_by_policy(selection):
        policy = plan_policy(inventory, selection, memory, fresh, deps.aws)
        if policy is not None:
            yield policy.action
    for group in _observe(inventory, selection, memory, recheck, deps):
        try:
            _, action = _plan(group, inventory, selection, fresh)
        except AwsError as error:
            if error.kind != "gone":
                raise
            action = SkipGroup(group.group.name, Reason.GONE)
        yield action


def reconcile(
    inventory: Inventory,
    selection: Selection,
    memory: Memory,
    recheck: RecheckPolicy,
    deps: SubscriberDependencies,
) -> RunState:
    """Link and unlink as the selection says, until time is up or somebody unlinks everything.

    The results are remembered also if the run ends early. Raises AwsError, ConflictError.
    """
    fresh = FreshTags(deps.aws.tags, deps.clock.now)
    state = RunState(inventory, memory, deps.settings.filter_destination, fresh.tagged)
    groups = _observe(inventory, selection, memory, recheck, deps)
    try:
        _LinkRun(inventory, selection, fresh, state, deps).link(groups)
    except UnlinkAllError:
        state.stopped = True
    finally:
        remember(state.memory_update(), deps)
    return state


class _LinkRun:
    """One run over the log groups of an inventory."""

    def __init__(
        self,
        inventory: Inventory,
        selection: Selection,
        fresh: FreshTags,
        state: RunState,
        deps: SubscriberDependencies,
    ) -> None:
        self._inventory = inventory
        self._selection = selection
        self._fresh = fresh
        self._state = state
        self._deps = deps
        order = StopOrder(lambda: read_memory(deps), deps.clock.now, inventory.began)
        self._check_stop: Callable[[], None] = _nothing if selection.stopped else order.check
        self._writer = FilterWriter(self._put_filter, deps.aws.delete_filter)

    def link(self, groups: Iterable[ObservedGroup]) -> None:
        """Link and unlink. Raises UnlinkAllError, AwsError, ConflictError."""
        if self._inventory.buckets:
            self._link_buckets()
        if links_by_policy(self._selection) and not self._keep_policy():
            # Without the policy, a log group that loses its filter would not be delivered at all.
            return
        for group in groups:
            self._check_stop()
            try:
                observed, action = _plan(group, self._inventory, self._selection, self._fresh)
            except AwsError as error:
                skip = SkipGroup(group.group.name, Reason.UNREADABLE)
                self._add(group, outcome_of_error(skip, error))
                continue
            if not self._is_time_for(action):
                return
            self._add(observed, apply(action, self._writer))
        self._drop_policy()

    def _link_buckets(self) -> None:
        result = link_log_buckets(self._selection, self._state.memory, self._deps, self._check_stop)
        self._state.add_buckets(result)
        for outcome in result.outcomes:
            self._deps.tell_bucket(outcome)

    def _keep_policy(self) -> bool:
        """Put the account policy if it has to change; tell whether it is in force then."""
        policy_plan = partial(
            plan_policy,
            self._inventory,
            self._selection,
            self._state.memory,
            self._fresh,
            self._deps.aws,
        )
        outcome, in_force = keep_policy(
            policy_plan, self._put_policy, self._selection, self._deps.clock.now
        )
        self._state.add_policy(outcome, in_force)
        self._deps.tell(outcome)
        return in_force is not None

    def _drop_policy(self) -> None:
        """Delete the account policy if it is not needed any more.

        In the mode `groups` the policy stays until a run has linked all log groups and their
        filters are effective. Raises AwsError.
        """
        state, selection = self._state, self._selection
        may_be_there = state.memory.account_policy or selection.settings.link_mode == "account"
        if links_by_policy(selection) or not may_be_there or not state.complete:
            return
        if not selection.stopped and not (
            state.is_clean and wait_until(state.newest_filter + EFFECTIVE_MS, self._deps.clock)
        ):
            return
        self._deps.aws.delete_account_policy()
        state.account_policy = False

    def _is_time_for(self, action: FilterAction) -> bool:
        """Wait until the policy is effective before a filter goes; False if the run ends before."""
        in_force = self._state.in_force
        match action:
            case DeleteFilter(reason=Reason.ACCOUNT_POLICY) if in_force is not None:
                return wait_until(in_force.since + EFFECTIVE_MS, self._deps.clock)
            case _:
                return True

    def _add(self, observed: ObservedGroup, outcome: ActionOutcome) -> None:
        self._state.add(observed, outcome, self._deps.clock.now())
        self._deps.tell(outcome)

    def _put_filter(self, action: PutFilter) -> None:
        aws, group = self._deps.aws, action.group
        # The memory may be older than an option that somebody has set by hand.
        kept = aws.filter_options(group) if action.why == "changed" else {}
        aws.put_filter(group, action.pattern, action.system_fields, kept, self._check_stop)

    def _put_policy(self, policy: Policy) -> None:
        self._deps.aws.put_account_policy(*policy_texts(policy), self._check_stop)


def _nothing() -> None:
    """Do nothing: a run that unlinks everything has no order to wait for."""


def _observe(
    inventory: Inventory,
    selection: Selection,
    memory: Memory,
    recheck: RecheckPolicy,
    deps: SubscriberDependencies,
) -> Iterator[ObservedGroup]:
    reader = FilterReader(deps.aws.filters, deps.clock.remaining)
    selects = partial(is_selected, selection=selection)
    return observe(inventory.groups, memory, recheck, reader, selects)


def _plan(
    group: ObservedGroup, inventory: Inventory, selection: Selection, fresh: FreshTags
) -> tuple[ObservedGroup, FilterAction]:
    """Plan the action for one log group, with fresh tags where they decide. Raises AwsError."""
    [action] = plan([group], selection)
    # Log groups that were asked for by name have fresh tags already.
    return confirm(group, action, selection, fresh) if inventory.complete else (group, action)
