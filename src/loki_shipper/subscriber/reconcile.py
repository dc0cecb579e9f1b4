"""The spine of linking: look, plan, do, remember."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from loki_shipper.subscriber.account_policy import Policy, policy_texts
from loki_shipper.subscriber.apply import Hands, Outcome, apply, understood
from loki_shipper.subscriber.clock import wait_until
from loki_shipper.subscriber.confirm import FreshTags, confirm
from loki_shipper.subscriber.keep_policy import (
    drop_policy,
    is_by_policy,
    keep_policy,
    wanted_policy,
)
from loki_shipper.subscriber.memory import Memory
from loki_shipper.subscriber.model import EFFECTIVE_MS, Reason, Seen
from loki_shipper.subscriber.observe import Distrust, Sight, observe
from loki_shipper.subscriber.pace import AwsError
from loki_shipper.subscriber.plan import Action, Delete, Skip, plan
from loki_shipper.subscriber.select import Rules, is_selected
from loki_shipper.subscriber.settings import Settings
from loki_shipper.subscriber.stop_order import StopOrder, StoppedError
from loki_shipper.subscriber.surroundings import Surroundings, read_memory, remember
from loki_shipper.subscriber.survey import Survey
from loki_shipper.subscriber.tally import Tally


def rules(settings: Settings, memory: Memory) -> Rules:
    """Join what the settings say with what people ordered."""
    return Rules(settings=settings, by_hand=memory.by_hand, stopped=memory.stopped)


def planned(
    found: Survey, ruled: Rules, memory: Memory, distrust: Distrust, around: Surroundings
) -> Iterator[Action]:
    """Say what `reconcile` would do, action by action, and do nothing. Raises AwsError."""
    fresh = FreshTags(around.aws.tags, around.clock.now)
    if is_by_policy(ruled):
        wanted = wanted_policy(found, ruled, memory, fresh, around.aws)
        if wanted is not None:
            yield wanted.action
    for seen in _observe(found, ruled, memory, distrust, around):
        [action] = plan([seen], ruled)
        yield _foretold(seen, action, ruled, fresh) if found.whole else action


def _foretold(seen: Seen, action: Action, ruled: Rules, fresh: FreshTags) -> Action:
    try:
        return confirm(seen, action, ruled, fresh)[1]
    except AwsError as error:
        if error.kind != "gone":
            raise
        return Skip(action.group, Reason.GONE)


def reconcile(
    found: Survey, ruled: Rules, memory: Memory, distrust: Distrust, around: Surroundings
) -> Tally:
    """Link and unlink as the rules say, until time is up or everything is ordered to be unlinked.

    What was done is remembered also where this ends early. Raises AwsError, ConflictError.
    """
    fresh = FreshTags(around.aws.tags, around.clock.now)
    tally = Tally(found, memory, around.settings.shipper_arn, fresh.read)
    seen = _observe(found, ruled, memory, distrust, around)
    try:
        _Run(found, ruled, fresh, tally, around).link(seen)
    except StoppedError:
        tally.stopped = True
    finally:
        remember(tally.lesson(), around)
    return tally


class _Run:
    """One run over the log groups that were found."""

    def __init__(
        self,
        found: Survey,
        ruled: Rules,
        fresh: FreshTags,
        tally: Tally,
        deps: Surroundings,
    ) -> None:
        self._found = found
        self._ruled = ruled
        self._fresh = fresh
        self._tally = tally
        self._deps = deps
        order = StopOrder(lambda: read_memory(deps), deps.clock.now, found.began)
        self._ready: Callable[[], None] = _nothing if ruled.stopped else order.check
        self._hands = Hands(self._put_filter, deps.aws.delete_filter)

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
                self._count(group, understood(Skip(group.group.name, Reason.UNREADABLE), error))
                continue
            if not self._is_time_for(action):
                return
            self._count(seen, apply(action, self._hands))
        drop_policy(self._ruled, self._tally, self._deps)

    def _keep_policy(self) -> bool:
        """Tell whether the account policy is in force, after all was done for it."""
        look = partial(
            wanted_policy, self._found, self._ruled, self._tally.memory, self._fresh, self._deps.aws
        )
        outcome, in_force = keep_policy(look, self._put_policy, self._ruled, self._deps.clock.now)
        self._tally.add_policy(outcome, in_force)
        self._deps.tell(outcome)
        return in_force is not None

    def _decide(self, seen: Seen) -> tuple[Seen, Action]:
        [action] = plan([seen], self._ruled)
        # Tags of log groups that were named are fresh already.
        return (
            confirm(seen, action, self._ruled, self._fresh) if self._found.whole else (seen, action)
        )

    def _is_time_for(self, action: Action) -> bool:
        """Wait until the policy delivers before a filter goes; False where the run ends before."""
        in_force = self._tally.in_force
        match action:
            case Delete(reason=Reason.ACCOUNT_POLICY) if in_force is not None:
                return wait_until(in_force.since + EFFECTIVE_MS, self._deps.clock)
            case _:
                return True

    def _count(self, seen: Seen, outcome: Outcome) -> None:
        self._tally.add(seen, outcome, self._deps.clock.now())
        self._deps.tell(outcome)

    def _put_filter(self, group: str, pattern: str) -> None:
        self._deps.aws.put_filter(group, pattern, self._ready)

    def _put_policy(self, policy: Policy) -> None:
        self._deps.aws.put_account_policy(*policy_texts(policy), self._ready)


def _nothing() -> None:
    """Let a run go on that links nothing anyway."""


def _observe(
    found: Survey, ruled: Rules, memory: Memory, distrust: Distrust, around: Surroundings
) -> Iterator[Seen]:
    sight = Sight(around.aws.filters, around.clock.remaining)
    return observe(found.groups, memory, distrust, sight, partial(is_selected, rules=ruled))
