"""What a run has done so far: what to remember of it, and what to report."""

from collections import Counter

from msgspec import Struct, structs

from loki_shipper.subscriber.apply import Done, Failed, Outcome, Skipped
from loki_shipper.subscriber.catch_up import CaughtUp, is_due
from loki_shipper.subscriber.memory import Known, Lesson, Memory, recall
from loki_shipper.subscriber.model import Filter, Filters, LogGroup, Reason, Seen
from loki_shipper.subscriber.plan import Delete, Put
from loki_shipper.subscriber.survey import Survey


class Report(Struct, frozen=True, kw_only=True):
    """What a run did, in log groups; `caught_up` counts lines.

    `skipped` is by reason. `behind` names those whose first lines were more than are read at once.
    `left`: there was no time for so many; the next run begins with them. `whole`: it was a sweep.
    """

    seen: int
    linked: int
    put: int
    deleted: int
    skipped: dict[str, int]
    failed: list[Failed]
    caught_up: int
    behind: list[str]
    left: int
    whole: bool


class Tally:
    """Adds up the outcomes of one run; `now` is when it began, in ms since 1970."""

    def __init__(self, found: Survey, memory: Memory, destination: str) -> None:
        self._found = found
        self._memory = memory
        self._destination = destination
        self._outcomes: list[Outcome] = []
        self._left = {group.name for group in found.groups}
        self._known: dict[str, Known] = {}
        self._caught_up: dict[str, CaughtUp] = {}
        self._gone = set(found.missing)
        if found.whole:
            self._gone |= memory.groups.keys() - self._left
        self.account_policy: bool | None = None

    def add(self, seen: Seen, outcome: Outcome, now: int) -> None:
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
                self._known[seen.group.name] = self._judged(seen.group, after)

    def add_other(self, outcome: Outcome) -> None:
        """Count an outcome that is about no log group."""
        self._outcomes.append(outcome)

    def add_catch_up(self, name: str, caught_up: CaughtUp) -> None:
        """Count first lines that were shipped."""
        self._caught_up[name] = caught_up
        self._known[name] = structs.replace(self._known[name], caught_up=True)

    def due(self, now: int) -> dict[str, Known]:
        """Give the log groups whose first lines are still to be shipped."""
        return {name: known for name, known in self._known.items() if is_due(known, now)}

    def lesson(self) -> Lesson:
        """Give what differs from the memory that the run began with."""
        before = self._memory.groups
        news: dict[str, Known | None] = dict.fromkeys(self._gone & before.keys())
        news |= {name: known for name, known in self._known.items() if before.get(name) != known}
        return Lesson(groups=news, account_policy=self.account_policy)

    def report(self) -> Report:
        """Add it all up."""
        done = Counter(type(each.action) for each in self._outcomes if isinstance(each, Done))
        skipped = [each.skip.reason for each in self._outcomes if isinstance(each, Skipped)]
        caught_up = self._caught_up
        return Report(
            seen=len(self._found.groups),
            linked=sum(known.filters.ours is not None for known in self._known.values()),
            put=done[Put],
            deleted=done[Delete],
            skipped=dict(Counter(map(str, skipped))),
            failed=[each for each in self._outcomes if isinstance(each, Failed)],
            caught_up=sum(each.lines for each in caught_up.values()),
            behind=[name for name, each in caught_up.items() if not each.whole],
            left=len(self._left),
            whole=self._found.whole,
        )

    def _judged(self, group: LogGroup, filters: Filters) -> Known:
        known = recall(self._memory, group)
        same = known is not None and filters.ours is not None and known.filters.ours is not None
        return Known(
            group.created, filters, caught_up=same and known is not None and known.caught_up
        )


def _after(filters: Filters, outcome: Outcome, destination: str, now: int) -> Filters:
    """Give a log group's filters as the outcome has left them."""
    match outcome:
        case Done(action=Put(pattern=pattern)):
            since = now if filters.ours is None else filters.ours.since
            return structs.replace(filters, ours=Filter(pattern, destination, since))
        case Done(action=Delete()):
            return structs.replace(filters, ours=None)
        case Skipped(skip=skip) if skip.reason is Reason.FULL:
            return structs.replace(filters, full=True)
        case _:
            return filters
