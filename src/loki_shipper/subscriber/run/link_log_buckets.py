"""Links and unlinks the buckets with log files: all of them in each sweep, as they are few."""

import json
from collections.abc import Callable, Iterator
from functools import cache

from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.bucket_calls import EventRule
from loki_shipper.subscriber.buckets.link import (
    BucketEffects,
    BucketFailed,
    BucketOutcome,
    failed,
    link_buckets,
    planned_bucket,
)
from loki_shipper.subscriber.buckets.notifications import OurNotifications, widest
from loki_shipper.subscriber.buckets.plan import (
    BucketAction,
    BucketReason,
    DeleteNotification,
    SkipBucket,
    WantedBucket,
)
from loki_shipper.subscriber.buckets.rule import event_pattern
from loki_shipper.subscriber.groups.select import Selection
from loki_shipper.subscriber.memory import Memory, MemoryUpdate
from loki_shipper.subscriber.run.dependencies import SubscriberDependencies, remember

RULE_ROW = "(EventBridge rule)"
"""Name under which reports show the rule among buckets."""

_NOT_READ = {BucketReason.DENIED, BucketReason.OTHER_REGION, BucketReason.UNKNOWN_KIND}


def bucket_name(name: str) -> str:
    """Give a bucket's name among log groups."""
    return f"s3://{name}"


def wanted_buckets(selection: Selection, memory: Memory) -> list[WantedBucket]:
    """Give the buckets of LogBuckets, and those that our notifications may still be in."""
    settings = selection.settings
    listed = settings.log_buckets if settings.log_files_queue is not None else ()
    names = {each.bucket for each in listed} | memory.buckets.keys()
    found = []
    for name in sorted(names):
        reason = _reason_against(name, selection)
        chosen = [each.prefix for each in listed if each.bucket == name and reason is None]
        found.append(WantedBucket(name, widest(chosen), reason or BucketReason.NOT_LISTED))
    return found


def _reason_against(name: str, selection: Selection) -> BucketReason | None:
    if name == selection.settings.bucket:
        return BucketReason.OWN
    if selection.stopped:
        return BucketReason.STOPPED
    if selection.by_hand.get(bucket_name(name)) is False:
        return BucketReason.BY_HAND
    return None


def planned_buckets(
    selection: Selection, memory: Memory, deps: SubscriberDependencies
) -> Iterator[BucketAction | BucketFailed]:
    """Give the action for each bucket that a run would carry out. Raises AwsError."""
    ours, effects = _ours(deps), _effects(deps)
    for wanted in wanted_buckets(selection, memory):
        try:
            yield planned_bucket(wanted, ours, effects)
        except AwsError as error:
            yield failed(wanted.name, error, "look")


class LogBucketsResult(Struct, frozen=True):
    """The outcomes of a run for buckets, and the changes of the memory that it has not written."""

    outcomes: list[BucketOutcome]
    memory_update: MemoryUpdate


def link_log_buckets(
    selection: Selection,
    memory: Memory,
    deps: SubscriberDependencies,
    check_stop: Callable[[], None],
) -> LogBucketsResult:
    """Link and unlink buckets as the selection says.

    Raises what `check_stop` raises, AwsError and ConflictError.
    """

    def ready(name: str) -> None:
        check_stop()
        # Remembered before the write: a run that dies after it leaves nothing that no run finds.
        if name not in memory.buckets:
            remember(MemoryUpdate(buckets={name: deps.clock.now()}), deps)

    wanted = wanted_buckets(selection, memory)
    outcomes = link_buckets(wanted, _ours(deps), _effects(deps, ready))
    pairs = [*zip(wanted, outcomes, strict=True)]
    through = [each for each, outcome in pairs if _needs_rule(each, outcome)]
    told = [_left_behind(each, outcome, memory) for each, outcome in pairs]
    told += _keep_rule(through, deps, check_stop)
    forgotten = {each.name: None for each, outcome in pairs if _is_out(each, outcome)}
    update = MemoryUpdate(buckets={name: None for name in forgotten if name in memory.buckets})
    return LogBucketsResult(told, update)


def _ours(deps: SubscriberDependencies) -> OurNotifications:
    return OurNotifications(deps.settings.filter_name, deps.settings.log_files_queue)


def _effects(
    deps: SubscriberDependencies, ready: Callable[[str], None] = lambda _: None
) -> BucketEffects:
    calls = deps.aws.buckets
    return BucketEffects(
        deps.settings.origin.region,
        cache(calls.region),
        calls.notifications,
        calls.put_notifications,
        deps.clock.sleep,
        ready,
    )


def _needs_rule(wanted: WantedBucket, outcome: BucketOutcome) -> bool:
    """Tell whether events of a bucket come, if at all, through EventBridge.

    Those of other accounts and Regions may: their rules send to the event bus of this Region.
    """
    match outcome:
        case SkipBucket(reason=reason):
            return bool(wanted.prefixes) and reason is not BucketReason.LINKED
        case BucketFailed():
            return bool(wanted.prefixes)
        case _:
            return False


def _is_out(wanted: WantedBucket, outcome: BucketOutcome) -> bool:
    """Tell whether our notifications are certainly in this bucket no more, and are not to be."""
    match outcome:
        case SkipBucket(reason=BucketReason.GONE) | DeleteNotification():
            return True
        case SkipBucket(reason=reason):
            return not wanted.prefixes and reason not in _NOT_READ
        case _:
            return False


def _left_behind(wanted: WantedBucket, outcome: BucketOutcome, memory: Memory) -> BucketOutcome:
    """Give a failure if ours is in a bucket, cannot be taken out, and is to be."""
    match outcome:
        case SkipBucket(bucket=name, reason=reason, detail=detail) if (
            reason in _NOT_READ and not wanted.prefixes and name in memory.buckets
        ):
            return BucketFailed(name, reason, detail or reason.words, "unlink")
        case _:
            return outcome


def _keep_rule(
    buckets: list[WantedBucket], deps: SubscriberDependencies, check_stop: Callable[[], None]
) -> list[BucketOutcome]:
    """Have the rule match the events of these buckets; gives the failure, if there is one."""
    name, calls = deps.settings.log_files_rule, deps.aws.buckets
    if name is None:
        return []
    try:
        there = calls.rule(name)
        pattern = event_pattern(buckets) if buckets else there.pattern
        rule = EventRule(pattern, bool(buckets))
        if rule.enabled != there.enabled or json.loads(pattern) != json.loads(there.pattern):
            check_stop()
            calls.put_rule(name, rule)
    except AwsError as error:
        return [failed(RULE_ROW, error, "link")]
    return []
