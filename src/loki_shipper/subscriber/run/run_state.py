"""Collects the results of one run: the changes of the memory, and the report."""

from collections import Counter
from collections.abc import Mapping

from msgspec import structs

from loki_shipper.shipper.labels.tag_index import Tagged
from loki_shipper.subscriber.filters.apply import ActionOutcome, Done, Failed, Skipped
from loki_shipper.subscriber.filters.plan import DeleteFilter, PutFilter
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.memory import (
    CaughtUp,
    GroupState,
    Memory,
    MemoryUpdate,
    remembered_state,
)
from loki_shipper.subscriber.model import Filter, Filters, LogGroup, ObservedGroup, Reason, Turn
from loki_shipper.subscriber.policy.account_policy import PolicyInForce
from loki_shipper.subscriber.run.link_log_buckets import LogBucketsResult
from loki_shipper.subscriber.run.next_state import next_state
from loki_shipper.subscriber.run.report import RunReport, buckets_report


class RunState:
    """The results of one run so far, from its inventory and the memory that it began with.

    `in_force`: the account policy, if it delivers as the settings say. `stopped`: the run ended
    because somebody unlinked everything. `fresh_tags`: tags that were read again.
    """

    def __init__(
        self,
        inventory: Inventory,
        memory: Memory,
        destination: str,
        fresh_tags: Mapping[str, Tagged],
    ) -> None:
        self.memory = memory
        self.fresh_tags = fresh_tags
        self.in_force: PolicyInForce | None = None
        self.account_policy: bool | None = None
        self.stopped = False
        self._inventory = inventory
        self._destination = destination
        self._outcomes: list[ActionOutcome] = []
        self._left = {group.name for group in inventory.groups}
        self._states: dict[str, GroupState] = {}
        self._caught_up: dict[str, CaughtUp] = {}
        self._gone = set(inventory.missing)
        if inventory.complete:
            self._gone |= memory.groups.keys() - self._left
        self._given_up: set[str] = set()
        self._policy_failure: Failed | None = None
        self._buckets = LogBucketsResult([], MemoryUpdate())

    def add(self, observed: ObservedGroup, outcome: ActionOutcome, now: int) -> None:
        """Add the outcome for a log group, at `now`, in ms since 1970."""
        self.add_other(outcome)
        name = observed.group.name
        self._left.discard(name)
        match outcome, observed.filters:
            case Failed(), _:
                pass
            case Skipped(skip=skip), _ if skip.reason is Reason.GONE:
                self._gone.add(name)
            case _, Filters() as filters:
                after = _filters_after(filters, outcome, self._destination, now)
                self._states[name] = self._state_after(observed.group, after, now)

    def add_other(self, outcome: ActionOutcome) -> None:
        """Add an outcome that leaves the states of log groups as they are."""
        self._outcomes.append(outcome)

    def add_policy(self, outcome: ActionOutcome, in_force: PolicyInForce | None) -> None:
        """Add the outcome for the account policy, and the policy if it is in force."""
        self.add_other(outcome)
        self.in_force = in_force
        match outcome:
            case Done():
                self.account_policy = True
            case Failed():
                self._policy_failure = outcome

    def add_buckets(self, result: LogBucketsResult) -> None:
        """Add the outcomes for buckets."""
        self._buckets = result

    def add_catch_up(self, name: str, caught_up: CaughtUp) -> None:
        """Add the first lines of a log group that were shipped."""
        self._caught_up[name] = caught_up

    def add_gone(self, name: str) -> None:
        """Add a log group that was deleted before its first lines were shipped."""
        del self._states[name]
        self._gone.add(name)
        self._given_up.add(name)

    @property
    def due(self) -> dict[str, GroupState]:
        """Give the log groups that have first lines to ship."""
        return {
            name: state
            for name, state in self._states.items()
            if state.has_first_lines and name not in self._caught_up
        }

    @property
    def first_lines(self) -> Mapping[str, CaughtUp]:
        """Give the first lines that were shipped, by log group."""
        return self._caught_up

    @property
    def complete(self) -> bool:
        """Tell whether the run is about all log groups."""
        return self._inventory.complete

    @property
    def next_turn(self) -> Turn | None:
        """Give the turn of the first log group that the run had no time for."""
        left = [group for group in self._inventory.groups if group.name in self._left]
        return min((group.turn for group in left), default=None)

    @property
    def unfinished(self) -> frozenset[str]:
        """Name the log groups that the run had no time for, or AWS was too busy for."""
        busy = {
            each.group
            for each in self._outcomes
            if isinstance(each, Failed) and each.is_temporary and each.step != "first_lines"
        }
        return frozenset(self._left | busy)

    @property
    def is_clean(self) -> bool:
        """Tell whether the run looked at each log group and nothing failed."""
        return not self._left and not any(isinstance(each, Failed) for each in self._outcomes)

    @property
    def newest_filter(self) -> int:
        """Give when our newest filter was put, in ms since 1970; 0: there is none."""
        filters = (state.filters.ours for state in self._states.values())
        return max((ours.since for ours in filters if ours is not None), default=0)

    def memory_update(self) -> MemoryUpdate:
        """Give the changes of the memory, except those by first lines."""
        before = self.memory.groups
        groups: dict[str, GroupState | None] = dict.fromkeys(self._gone & before.keys())
        groups |= {name: state for name, state in self._states.items() if before.get(name) != state}
        since = None if self.in_force is None else self.in_force.began
        return MemoryUpdate(
            groups=groups,
            account_policy=self.account_policy,
            policy_since=None if since == self.memory.policy_since else since,
            buckets=self._buckets.memory_update.buckets,
        )

    def first_lines_update(self) -> MemoryUpdate:
        """Give the changes of the memory by first lines."""
        caught_up = {name: self._states[name].created for name in self._caught_up}
        return MemoryUpdate(groups=dict.fromkeys(self._gone & self._given_up), caught_up=caught_up)

    def report(self) -> RunReport:
        """Count everything."""
        done = Counter(type(each.action) for each in self._outcomes if isinstance(each, Done))
        skipped = [each.skip.reason for each in self._outcomes if isinstance(each, Skipped)]
        caught_up, failure = self._caught_up, self._policy_failure
        return RunReport(
            seen=len(self._inventory.groups),
            linked=sum(state.filters.ours is not None for state in self._states.values()),
            put=done[PutFilter],
            deleted=done[DeleteFilter],
            skipped=dict(Counter(map(str, skipped))),
            failed=[each for each in self._outcomes if isinstance(each, Failed)],
            caught_up=sum(each.lines for each in caught_up.values()),
            behind=[name for name, each in caught_up.items() if not each.complete],
            given_up=sorted(self._given_up.union(filter(self._had_first_lines, self._gone))),
            waiting=len(self.due),
            left=len(self._left),
            complete=self._inventory.complete,
            policy_failure=None if failure is None else f"{failure.why}: {failure.detail}",
            by_policy=self.in_force is not None,
            buckets=buckets_report(self._buckets.outcomes),
        )

    def _had_first_lines(self, name: str) -> bool:
        """Tell whether the log group had first lines to ship when the run began."""
        state = self.memory.groups.get(name)
        return state is not None and state.has_first_lines

    def _state_after(self, group: LogGroup, filters: Filters, now: int) -> GroupState:
        before = remembered_state(self.memory, group)
        if before is None and self._had_first_lines(group.name):
            # A new log group has the name, so the first lines of the old one are gone.
            self._given_up.add(group.name)
        after = next_state(before, group, filters, self.in_force)
        if before is not None and after.has_first_lines and after.is_expired(now):
            self._given_up.add(group.name)
            return structs.replace(after, caught_up=True)
        return after


def _filters_after(filters: Filters, outcome: ActionOutcome, destination: str, now: int) -> Filters:
    """Give a log group's filters after an outcome."""
    match outcome:
        case Done(action=PutFilter(pattern=pattern, system_fields=system_fields)):
            since = now if filters.ours is None else filters.ours.since
            return structs.replace(filters, ours=Filter(pattern, destination, since, system_fields))
        case Done(action=DeleteFilter()):
            return structs.replace(filters, ours=None)
        case Skipped(skip=skip) if skip.reason is Reason.FULL:
            return structs.replace(filters, full=True)
        case _:
            return filters
