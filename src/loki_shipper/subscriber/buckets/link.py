"""Changes the configurations of buckets: read, merge, write, and read back.

S3 has no conditional write for these configurations. So each is read once more just before the
write, and again some seconds after it: if another writer was faster or later, the next round begins
with what is there then.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from loki_shipper.aws.errors import AwsError
from loki_shipper.subscriber.buckets.notifications import (
    NotificationConfig,
    OurNotifications,
    is_same,
)
from loki_shipper.subscriber.buckets.plan import (
    BucketAction,
    BucketReason,
    DeleteNotification,
    PutNotification,
    SkipBucket,
    UnreachableBucket,
    WantedBucket,
    plan_bucket,
)
from loki_shipper.subscriber.filters.apply import FailedStep

SETTLE_SECONDS = 3.0
"""Time until a write is read back; by then, writes of others that crossed it are there too."""

_ROUNDS = 5


class BucketFailed(Struct, frozen=True):
    """A step failed; `why` is AWS's error code, `detail` its message."""

    bucket: str
    why: str
    detail: str
    step: FailedStep


type BucketOutcome = BucketAction | BucketFailed
"""A PutNotification or DeleteNotification was carried out."""


class BucketEffects(Struct, frozen=True):
    """The calls of a run; `home` is the queue's Region. `region`, `read`, `write` raise AwsError.

    `ready` is called with a bucket's name before each write, and may raise.
    """

    home: str
    region: Callable[[str], str]
    read: Callable[[str], NotificationConfig]
    write: Callable[[str, Mapping[str, Any]], None]
    sleep: Callable[[float], None]
    ready: Callable[[str], None] = lambda _: None


def planned_bucket(
    wanted: WantedBucket, ours: OurNotifications, effects: BucketEffects
) -> BucketAction:
    """Give the action for one bucket, as it is now. Raises AwsError."""
    return plan_bucket(wanted, _observe(wanted.name, effects), ours)


def link_buckets(
    wanted: Sequence[WantedBucket], ours: OurNotifications, effects: BucketEffects
) -> list[BucketOutcome]:
    """Change each bucket as planned, until it is found so.

    Raises AwsError if no call could succeed, and what `ready` raises.
    """
    outcomes: dict[str, BucketOutcome] = {}
    rest = [*wanted]
    for number in range(_ROUNDS):
        if number:
            effects.sleep(SETTLE_SECONDS)
        rest = [each for each in rest if not _is_settled(each, ours, effects, outcomes)]
        if not rest:
            break
    outcomes |= {each.name: _contested(each) for each in rest}
    return [outcomes[each.name] for each in wanted]


def failures(outcomes: Iterable[BucketOutcome]) -> list[BucketFailed]:
    """Give the steps that failed."""
    return [each for each in outcomes if isinstance(each, BucketFailed)]


def failed(bucket: str, error: AwsError, step: FailedStep) -> BucketFailed:
    """Give the outcome of a call that raised this error; raises it if no call could succeed."""
    if error.kind in {"expired", "unreachable"}:
        raise error
    return BucketFailed(bucket, error.code, str(error), step)


def _is_settled(
    wanted: WantedBucket,
    ours: OurNotifications,
    effects: BucketEffects,
    outcomes: dict[str, BucketOutcome],
) -> bool:
    """Take one step for a bucket, and note the outcome; tell whether it is final."""
    name, step = wanted.name, _step(wanted)
    try:
        seen = _observe(name, effects)
        match plan_bucket(wanted, seen, ours):
            case SkipBucket(reason=reason) as skip:
                if name not in outcomes or reason.is_obstacle:
                    outcomes[name] = skip
                return True
            case (PutNotification() | DeleteNotification()) as action:
                effects.ready(name)
                if _is_still(seen, _observe(name, effects)):
                    effects.write(name, action.config)
                    outcomes.setdefault(name, action)
                return False
    except AwsError as error:
        outcomes[name] = failed(name, error, step)
        return True


def _is_still(
    seen: NotificationConfig | UnreachableBucket, now: NotificationConfig | UnreachableBucket
) -> bool:
    if isinstance(seen, UnreachableBucket) or isinstance(now, UnreachableBucket):
        return False
    return is_same(seen, now)


def _observe(name: str, effects: BucketEffects) -> NotificationConfig | UnreachableBucket:
    """Read the configuration of a bucket. Raises AwsError."""
    try:
        region = effects.region(name)
        if region != effects.home:
            return UnreachableBucket(BucketReason.OTHER_REGION, f"it is in {region}")
        return effects.read(name)
    except AwsError as error:
        if error.code == "NoSuchBucket":
            return UnreachableBucket(BucketReason.GONE)
        if error.kind == "denied":
            return UnreachableBucket(BucketReason.DENIED, str(error))
        raise


def _step(wanted: WantedBucket) -> FailedStep:
    return "link" if wanted.prefixes else "unlink"


def _contested(wanted: WantedBucket) -> BucketFailed:
    detail = "others keep changing its notification configuration: the next run tries again"
    return BucketFailed(wanted.name, "NotInPlace", detail, _step(wanted))
