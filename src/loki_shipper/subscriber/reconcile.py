"""The spine of linking: look, plan, do, remember."""

from collections.abc import Iterator

from loki_shipper.subscriber.account_policy import (
    Policy,
    TooManyExcludedError,
    account_policy,
    policy_texts,
    read_policy,
)
from loki_shipper.subscriber.apply import Done, Failed, Hands, Skipped, apply
from loki_shipper.subscriber.memory import Memory
from loki_shipper.subscriber.model import Reason
from loki_shipper.subscriber.observe import Distrust, Sight, observe
from loki_shipper.subscriber.plan import Action, Put, Skip, plan
from loki_shipper.subscriber.select import Rules
from loki_shipper.subscriber.settings import Settings
from loki_shipper.subscriber.surroundings import Surroundings, remember
from loki_shipper.subscriber.survey import Survey
from loki_shipper.subscriber.tally import Tally

POLICY = "(account policy)"
"""Stands for a log group's name where an action is about the account policy."""


def rules(settings: Settings, memory: Memory) -> Rules:
    """Join what the settings say with what people ordered."""
    return Rules(settings=settings, by_hand=memory.by_hand, stopped=memory.stopped)


def planned(
    found: Survey, ruled: Rules, memory: Memory, distrust: Distrust, around: Surroundings
) -> Iterator[Action]:
    """Say what `reconcile` would do, action by action, and do nothing. Raises AwsError."""
    if _is_by_policy(ruled):
        yield _policy_action(found, ruled, around)[0]
    yield from plan(observe(found.groups, memory, distrust, _sight(around)), ruled)


def reconcile(
    found: Survey, ruled: Rules, memory: Memory, distrust: Distrust, around: Surroundings
) -> Tally:
    """Link and unlink as the rules say, until time is up.

    What was done is remembered also where this ends early. Raises AwsError, ConflictError.
    """
    tally = Tally(found, memory, around.settings.shipper_arn)
    try:
        _keep_policy(found, ruled, tally, around)
        for seen in observe(found.groups, memory, distrust, _sight(around)):
            for outcome in apply(plan([seen], ruled), _hands(around)):
                tally.add(seen, outcome, around.clock.now())
                around.tell(outcome)
        _drop_policy(ruled, memory, tally, around)
    finally:
        remember(tally.lesson(), around)
    return tally


def _is_by_policy(ruled: Rules) -> bool:
    """Tell whether log groups are linked by the account policy."""
    return ruled.settings.link_mode == "account" and not ruled.stopped


def _keep_policy(found: Survey, ruled: Rules, tally: Tally, around: Surroundings) -> None:
    """Put the account policy first, so that no line falls between it and our filters."""
    if not _is_by_policy(ruled):
        return
    action, policy = _policy_action(found, ruled, around)

    def put(_group: str, _pattern: str) -> None:
        around.aws.put_account_policy(*policy_texts(policy))

    try:
        [outcome] = apply([action], Hands(put, around.aws.delete_filter))
    except TooManyExcludedError as error:
        outcome = Failed(POLICY, "TooManyExcluded", str(error))
    match outcome:
        case Done():
            tally.account_policy = True
        case Skipped(skip=Skip(reason=Reason.FULL)):
            outcome = Failed(POLICY, "LimitExceeded", "there is somebody else's, and room for one")
    tally.add_other(outcome)
    around.tell(outcome)


def _policy_action(found: Survey, ruled: Rules, around: Surroundings) -> tuple[Put | Skip, Policy]:
    texts = around.aws.account_policy()
    before = None if texts is None else read_policy(*texts)
    after = account_policy(found.groups, ruled, None if found.whole else before)
    if before == after:
        return Skip(POLICY, Reason.LINKED), after
    return Put(POLICY, after.pattern, "new" if texts is None else "changed"), after


def _drop_policy(ruled: Rules, memory: Memory, tally: Tally, around: Surroundings) -> None:
    """Delete the account policy last, where it has had its day."""
    may_be_there = memory.account_policy or around.settings.link_mode == "account"
    if may_be_there and not _is_by_policy(ruled):
        around.aws.delete_account_policy()
        tally.account_policy = False


def _sight(around: Surroundings) -> Sight:
    return Sight(around.aws.filters, around.clock.remaining)


def _hands(around: Surroundings) -> Hands:
    return Hands(around.aws.put_filter, around.aws.delete_filter)
