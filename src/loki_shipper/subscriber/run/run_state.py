"""What a run has done so far: what to remember of it, and what to report."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct, structs

from loki_shipper.shipper.labels.tag_index import Tagged
from loki_shipper.subscriber.filters.apply import ActionOutcome, Done, Failed, Skipped
from loki_shipper.subscriber.filters.plan import DeleteFilter, PutFilter
from loki_shipper.subscriber.groups.inventory import Inventory
from loki_shipper.subscriber.memory import (
    CaughtUp,
    GroupState,
    Memory,
    MemoryUpdate,
    is_expired,
    is_open,
    remembered_state,
)
from loki_shipper.subscriber.model import Filter, Filters, LogGroup, Reason, Seen, Turn
from loki_shipper.subscriber.policy.account_policy import InForce
from loki_shipper.subscriber.run.follow import follow


class RunReport(Struct, frozen=True, kw_only=True):
    """What a run did, in log groups; `caught_up` counts lines.

    `skipped` is by reason. `behind` names those whose first lines were more than are shipped at
    once, `given_up` those whose first lines Loki takes no more, or that were deleted first;
    `waiting` counts those whose first lines wait for the next run. `left`: there was no time for so
    many; the next run begins with them. `whole`: it was a sweep. `policy_failure` says why the
    account policy is not in force, where it should be; `by_policy`: it is in force.
    `resume`: where a deletion that cannot use the memory goes on.
    """

    seen: int
    linked: int
    put: int
    deleted: int
    skipped: dict[str, int]
    failed: list[Failed]
    caught_up: int
    behind: list[str]
    given_up: list[str]
    waiting: int
    left: int
    whole: bool
    policy_failure: str | None
    by_policy: bool = False
    resume: Turn | None = None

    @property
    def link_errors(self) -> int:
        """Count what could not be linked, unlinked or looked at; first lines are another matter."""
        return sum(each.step != "first_lines" for each in self.failed)

    @property
    def is_complete(self) -> bool:
        """Tell whether the run has looked at all log groups, and done all there was to do."""
        return self.whole and not self.left and not self.link_errors


class RunState:
    """Adds up the outcomes of one run, which found these log groups and began with this memory.

    `in_force` is the account policy, where it is to deliver and was seen to be there; `stopped`:
    the run has ended as everything is to be unlinked; `fresh_tags` are those that were read again.
    """

    def __init__(
        self, found: Inventory, memory: Memory, destination: str, fresh_tags: Mapping[str, Tagged]
    ) -> None:
        self.memory = memory
        self.fresh_tags = fresh_tags
        self.in_force: InForce | None = None
        self.account_policy: bool | None = None
        self.stopped = False
        self._found = found
        self._destination = destination
        self._outcomes: list[ActionOutcome] = []
        self._left = {group.name for group in found.groups}
        self._known: dict[str, GroupState] = {}
        self._caught_up: dict[str, CaughtUp] = {}
        self._gone = set(found.missing)
        if found.whole:
            self._gone |= memory.groups.keys() - self._left
        self._given_up: set[str] = set()
        self._policy_failure: Failed | None = None

    def add(self, seen: Seen, outcome: ActionOutcome, now: int) -> None:
        """Count what became of a log group, at `now`, in ms since 1970."""
        self.add_other(outcome)
        self._left.discard(seen.group.name)
        match outcome, seen.filters:
            case Failed(), _:
                pass
            case Skipped(skip=skip), _ if skip.reason is Reason.GONE:
                self._gone.add(seen.group.name)
            case _, Filters() as filters:
                after = _after(filters, outcome, self._destination, now)
                self._known[seen.group.name] = self._judged(seen.group, after, now)

    def add_other(self, outcome: ActionOutcome) -> None:
        """Count an outcome that is about no log group."""
        self._outcomes.append(outcome)

    def add_policy(self, outcome: ActionOutcome, in_force: InForce | None) -> None:
        """Count what became of the account policy, and whether it is in force."""
        self.add_other(outcome)
        self.in_force = in_force
        match outcome:
            case Done():
                self.account_policy = True
            case Failed():
                self._policy_failure = outcome

    def add_catch_up(self, name: str, caught_up: CaughtUp) -> None:
        """Count first lines that were shipped."""
        self._caught_up[name] = caught_up

    def add_gone(self, name: str) -> None:
        """Count a log group that was deleted before its first lines were shipped."""
        del self._known[name]
        self._gone.add(name)
        self._given_up.add(name)

    @property
    def due(self) -> dict[str, GroupState]:
        """Give the log groups whose first lines are still to be shipped."""
        return {
            name: known
            for name, known in self._known.items()
            if is_open(known) and name not in self._caught_up
        }

    @property
    def first_lines(self) -> Mapping[str, CaughtUp]:
        """Give what was shipped of first lines, by log group."""
        return self._caught_up

    @property
    def whole(self) -> bool:
        """Tell whether the run is about all log groups."""
        return self._found.whole

    @property
    def next_turn(self) -> Turn | None:
        """Give the turn of the first log group that there was no time for."""
        left = [group for group in self._found.groups if group.name in self._left]
        return min((group.turn for group in left), default=None)

    @property
    def unfinished(self) -> frozenset[str]:
        """Name log groups for which there was no time, or AWS was too busy."""
        busy = {
            each.group
            for each in self._outcomes
            if isinstance(each, Failed) and each.is_temporary and each.step != "first_lines"
        }
        return frozenset(self._left | busy)

    @property
    def is_clean(self) -> bool:
        """Tell whether each log group was looked at and nothing failed."""
        return not self._left and not any(isinstance(each, Failed) for each in self._outcomes)

    @property
    def newest_filter(self) -> int:
        """Give when our newest filter was put, in ms since 1970; 0: there is none."""
        filters = (known.filters.ours for known in self._known.values())
        return max((ours.since for ours in filters if ours is not None), default=0)

    def memory_update(self) -> MemoryUpdate:
        """Give what differs from the memory that the run began with, first lines apart."""
        before = self.memory.groups
        news: dict[str, GroupState | None] = dict.fromkeys(self._gone & before.keys())
        news |= {name: known for name, known in self._known.items() if before.get(name) != known}
        since = None if self.in_force is None else self.in_force.began
        return MemoryUpdate(
            groups=news,
            account_policy=self.account_policy,
            policy_since=None if since == self.memory.policy_since else since,
        )

    def first_lines_update(self) -> MemoryUpdate:
        """Give what shipping first lines has changed."""
        caught_up = {name: self._known[name].created for name in self._caught_up}
        return MemoryUpdate(groups=dict.fromkeys(self._gone & self._given_up), caught_up=caught_up)

    def report(self) -> RunReport:
        """Add it all up."""
        done = Counter(type(each.action) for each in self._outcomes if isinstance(each, Done))
        skipped = [each.skip.reason for each in self._outcomes if isinstance(each, Skipped)]
        caught_up, failure = self._caught_up, self._policy_failure
        return RunReport(
            seen=len(self._found.groups),
            linked=sum(known.filters.ours is not None for known in self._known.values()),
            put=done[PutFilter],
            deleted=done[DeleteFilter],
            skipped=dict(Counter(map(str, skipped))),
            failed=[each for each in self._outcomes if isinstance(each, Failed)],
            caught_up=sum(each.lines for each in caught_up.values()),
            behind=[name for name, each in caught_up.items() if not each.whole],
            given_up=sorted(self._given_up.union(filter(self._was_open, self._gone))),
            waiting=len(self.due),
            left=len(self._left),
            whole=self._found.whole,
            policy_failure=None if failure is None else f"{failure.why}: {failure.detail}",
            by_policy=self.in_force is not None,
        )

    def _was_open(self, name: str) -> bool:
        """Tell whether the memory has a log group whose first lines are still to be shipped."""
        known = self.memory.groups.get(name)
        return known is not None and is_open(known)

    def _judged(self, group: LogGroup, filters: Filters, now: int) -> GroupState:
        before = remembered_state(self.memory, group)
        if before is None and self._was_open(group.name):
            # Another log group has taken the name, and the lines of the former are gone.
            self._given_up.add(group.name)
        after = follow(before, group, filters, self.in_force)
        if before is not None and is_open(after) and is_expired(after, now):
            self._given_up.add(group.name)
            return structs.replace(after, caught_up=True)
        return after


def _after(filters: Filters, outcome: ActionOutcome, destination: str, now: int) -> Filters:
    """Give a log group's filters as the outcome has left them."""
    match outcome:
        case Done(action=PutFilter(pattern=pattern)):
            since = now if filters.ours is None else filters.ours.since
            return structs.replace(filters, ours=Filter(pattern, destination, since))
        case Done(action=DeleteFilter()):
            return structs.replace(filters, ours=None)
        case Skipped(skip=skip) if skip.reason is Reason.FULL:
            return structs.replace(filters, full=True)
        case _:
            return filters
