"""What the subscriber remembers from one run to the next, as one compressed object in the bucket.

AWS lists no log groups by filter, and reads filters of one log group a call, five a second. So a
sweep looks only at log groups that are new to it, and at one in 24 of the rest. Without the memory
everything is looked at once; nothing else depends on it but what people ordered by hand.
"""

import gzip
import zlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct, structs

from loki_shipper.aws.arn import Origin
from loki_shipper.subscriber.model import EFFECTIVE_MS, Filters, LogGroup

OLDEST_DAYS = 7
"""Age in days of the oldest line that stock Loki takes (`reject_old_samples_max_age`)."""

_DAY_MS = 86_400_000
_NEW_MS = _DAY_MS


class GroupState(Struct, frozen=True, array_like=True):
    """What was last seen of a log group; `created` tells it from a later one of its name.

    `since` is when its lines began to be delivered, by our filter or the account policy, without a
    break from then on, in ms since 1970; None: they are not. `caught_up`: what it logged before has
    been shipped, or given up.
    """

    created: int
    filters: Filters
    caught_up: bool = False
    since: int | None = None


class CaughtUp(Struct, frozen=True):
    """How many lines were shipped. Not `whole`: there are more than are shipped here."""

    lines: int
    whole: bool


def missed_until(known: GroupState) -> int | None:
    """Give when a log group's filter or policy is effective for sure, in ms since 1970.

    What was ingested before that may not have been delivered. None: the log group is not linked.
    """
    return None if known.since is None else known.since + EFFECTIVE_MS


def is_open(known: GroupState) -> bool:
    """Tell whether a log group has first lines that were not shipped.

    Only where the log group was new when it was linked: the past of others is for `backfill`.
    """
    if known.since is None or known.caught_up:
        return False
    return known.since - known.created < _NEW_MS


def is_expired(known: GroupState, now: int) -> bool:
    """Tell whether Loki takes none of a log group's first lines any more.

    `now` is in ms since 1970.
    """
    until = missed_until(known)
    return until is not None and now - until >= OLDEST_DAYS * _DAY_MS


class Memory(Struct, frozen=True):
    """Log groups by name, and what people ordered.

    `by_hand`: single log groups that are linked or not, whatever the settings say; `stopped`: none
    is; `account_policy`: ours is there, put first at `policy_since`, in ms since 1970.
    """

    groups: dict[str, GroupState] = {}
    by_hand: dict[str, bool] = {}
    stopped: bool = False
    account_policy: bool = False
    policy_since: int = 0


class MemoryUpdate(Struct, frozen=True, kw_only=True):
    """What a run learned: log groups as they are now (None: gone), orders that changed.

    `caught_up` names log groups whose first lines have been shipped, with their `created`; it says
    nothing of their filters, as those may have been changed meanwhile.
    """

    groups: Mapping[str, GroupState | None] = {}
    caught_up: Mapping[str, int] = {}
    by_hand: Mapping[str, bool | None] = {}
    stopped: bool | None = None
    account_policy: bool | None = None
    policy_since: int | None = None


def memory_key(origin: Origin) -> str:
    """Give the memory's key in the bucket."""
    return f"links/{origin.account}/{origin.region}.json.gz"


def encode_memory(memory: Memory) -> bytes:
    """Compress a memory; the same memory always gives the same bytes."""
    return gzip.compress(msgspec.json.encode(memory, order="sorted"), compresslevel=6, mtime=0)


def decode_memory(body: bytes | None) -> Memory:
    """Read a memory; an empty one where there is none or it cannot be read."""
    try:
        return Memory() if body is None else msgspec.json.decode(gzip.decompress(body), type=Memory)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError, UnicodeError):
        return Memory()


def merge_memory(memory: Memory, memory_update: MemoryUpdate) -> Memory:
    """Apply a lesson to a memory that another run may have changed meanwhile."""
    groups = _changed(memory.groups, memory_update.groups)
    for name, created in memory_update.caught_up.items():
        known = groups.get(name)
        if known is not None and known.created == created:
            groups[name] = structs.replace(known, caught_up=True)
    return Memory(
        groups=groups,
        by_hand=_changed(memory.by_hand, memory_update.by_hand),
        stopped=memory.stopped if memory_update.stopped is None else memory_update.stopped,
        account_policy=(
            memory.account_policy
            if memory_update.account_policy is None
            else memory_update.account_policy
        ),
        policy_since=(
            memory.policy_since
            if memory_update.policy_since is None
            else memory_update.policy_since
        ),
    )


def remembered_state(memory: Memory, group: LogGroup) -> GroupState | None:
    """Give what is known of a log group; None where it is new, or made anew under its name."""
    known = memory.groups.get(group.name)
    return known if known is not None and known.created == group.created else None


def _changed[V](values: Mapping[str, V], changes: Mapping[str, V | None]) -> dict[str, V]:
    merged = {**values, **changes}
    return {name: value for name, value in merged.items() if value is not None}
