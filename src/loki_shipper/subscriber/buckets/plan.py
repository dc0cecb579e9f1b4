"""Plans one action for each bucket, from its notification configuration and the settings."""

from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct

from loki_shipper.subscriber.buckets.notifications import (
    NotificationConfig,
    OurNotifications,
    is_covered,
    is_same,
    merged,
    our_entries,
    overlapping,
    sends_to_event_bridge,
    unknown_elements,
)

_RECIPES = 'see "Buckets that the stack cannot set up" in docs/log-files.md'


class BucketReason(StrEnum):
    """Why a run leaves a bucket as it is, or takes our notifications out of it."""

    LINKED = "linked"
    EVENT_BRIDGE = "event_bridge"
    OWN = "own"
    NOT_LISTED = "not_listed"
    BY_HAND = "by_hand"
    STOPPED = "stopped"
    OVERLAP = "overlap"
    UNKNOWN_KIND = "unknown_kind"
    OTHER_REGION = "other_region"
    DENIED = "denied"
    GONE = "gone"

    @property
    def words(self) -> str:
        """Give the reason in words for a person."""
        return _WORDS[self]

    @property
    def is_obstacle(self) -> bool:
        """Tell whether the bucket is listed, but does not send to the queue because of it."""
        return self in _OBSTACLES


_WORDS = {
    BucketReason.LINKED: "sends to the queue already",
    BucketReason.EVENT_BRIDGE: "sends to EventBridge, where a rule takes its events",
    BucketReason.OWN: "the stack's own bucket: shipping what it holds would never end",
    BucketReason.NOT_LISTED: "LogBuckets does not name it",
    BucketReason.BY_HAND: "unlinked by hand, until `loki-shipper link` names it",
    BucketReason.STOPPED: (
        "everything is unlinked, until `loki-shipper link --all` or a deployment"
    ),
    BucketReason.OVERLAP: (
        f"S3 allows one destination for the same objects, and there is another one ({_RECIPES})"
    ),
    BucketReason.UNKNOWN_KIND: (
        "its configuration has parts that this version does not know and would delete: deploy a "
        "newer version, or add the notification yourself"
    ),
    BucketReason.OTHER_REGION: f"S3 sends only to a queue in the bucket's Region ({_RECIPES})",
    BucketReason.DENIED: (
        f"S3 denies it: it belongs to another account, or a policy denies it ({_RECIPES})"
    ),
    BucketReason.GONE: "there is no such bucket",
}

_OBSTACLES = {
    BucketReason.OWN,
    BucketReason.OVERLAP,
    BucketReason.UNKNOWN_KIND,
    BucketReason.OTHER_REGION,
    BucketReason.DENIED,
    BucketReason.GONE,
}


class WantedBucket(Struct, frozen=True):
    """A bucket whose objects below `prefixes` are to be announced to the queue.

    Without prefixes nothing is wanted, for the reason `otherwise`.
    """

    name: str
    prefixes: tuple[str, ...]
    otherwise: BucketReason = BucketReason.NOT_LISTED


class UnreachableBucket(Struct, frozen=True):
    """The configuration cannot be read, or S3 would refuse ours in it; `detail` names the facts."""

    reason: BucketReason
    detail: str = ""


class PutNotification(Struct, frozen=True, tag_field="action", tag="put"):
    """Make a bucket send to the queue; `config` is its whole configuration afterwards."""

    bucket: str
    prefixes: tuple[str, ...]
    why: Literal["new", "changed"]
    config: dict[str, Any]


class DeleteNotification(Struct, frozen=True, tag_field="action", tag="delete"):
    """Take our notifications out of a bucket; `config` is its configuration afterwards."""

    bucket: str
    reason: BucketReason
    config: dict[str, Any]


class SkipBucket(Struct, frozen=True, tag_field="action", tag="skip"):
    """Leave a bucket as it is; `detail` names the obstacle, if there is one."""

    bucket: str
    reason: BucketReason
    detail: str = ""


type BucketAction = PutNotification | DeleteNotification | SkipBucket


def plan_bucket(
    wanted: WantedBucket, seen: NotificationConfig | UnreachableBucket, ours: OurNotifications
) -> BucketAction:
    """Plan the action for one bucket: it never changes entries that are not ours.

    A bucket that sends to EventBridge is left as it is, unless ours is there already: EventBridge
    takes some minutes to begin after it is turned on.
    """
    match seen:
        case UnreachableBucket(reason=reason, detail=detail):
            return SkipBucket(wanted.name, reason, detail)
        case config if not wanted.prefixes:
            return _taken_out(wanted, config, ours)
        case config:
            return _put(wanted, config, ours)


def _taken_out(
    wanted: WantedBucket, config: NotificationConfig, ours: OurNotifications
) -> BucketAction:
    if not our_entries(config, ours):
        return SkipBucket(wanted.name, wanted.otherwise)
    if unknown := unknown_elements(config):
        return SkipBucket(wanted.name, BucketReason.UNKNOWN_KIND, ", ".join(unknown))
    return DeleteNotification(wanted.name, wanted.otherwise, merged(config, ours, ()))


def _put(wanted: WantedBucket, config: NotificationConfig, ours: OurNotifications) -> BucketAction:
    name, is_new = wanted.name, not our_entries(config, ours)
    after = merged(config, ours, wanted.prefixes)
    if is_same(config, after):
        return SkipBucket(name, BucketReason.LINKED)
    if is_new and all(is_covered(config, ours, prefix) for prefix in wanted.prefixes):
        return SkipBucket(name, BucketReason.LINKED)
    if is_new and sends_to_event_bridge(config):
        return SkipBucket(name, BucketReason.EVENT_BRIDGE)
    if others := overlapping(config, ours, wanted.prefixes):
        return SkipBucket(name, BucketReason.OVERLAP, ", ".join(others))
    if unknown := unknown_elements(config):
        return SkipBucket(name, BucketReason.UNKNOWN_KIND, ", ".join(unknown))
    return PutNotification(name, wanted.prefixes, "new" if is_new else "changed", after)
