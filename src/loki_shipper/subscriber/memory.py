"""The state that the subscriber keeps between runs, as one compressed object in the bucket.

AWS lists no log groups by filter, and reads the filters of one log group in each call, five calls
a second. So a sweep reads only the filters of log groups that are new, and of one in 24 of the
others. Without this state a run reads the filters of every log group; only what people linked or
unlinked by hand would be lost.
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


class GroupState(Struct, frozen=True, array_like=True):
    """A log group as the last run saw it; `created` tells it from a later one of its name.

    `since` is the time from which our filter or the account policy has delivered its lines without
    a break, in ms since 1970; None: neither does. `caught_up`: its first lines have been shipped,
    or given up.
    """

    created: int
    filters: Filters
    caught_up: bool = False
    since: int | None = None

    @property
    def effective_at(self) -> int | None:
        """Give when its filter or the policy is effective for sure, in ms since 1970.

        Lines that CloudWatch Logs ingested before that time may not have been delivered. None: the
        log group is not linked.
        """
        return None if self.since is None else self.since + EFFECTIVE_MS

    @property
    def has_first_lines(self) -> bool:
        """Tell whether the log group has first lines that were not shipped.

        Only a log group that was less than a day old when it was linked has first lines;
        `backfill` ships the past of the others.
        """
        if self.since is None or self.caught_up:
            return False
        return self.since - self.created < _DAY_MS

    def is_expired(self, now: int) -> bool:
        """Tell whether all first lines are too old for Loki; `now` is in ms since 1970."""
        until = self.effective_at
        return until is not None and now - until >= OLDEST_DAYS * _DAY_MS


class CaughtUp(Struct, frozen=True):
    """The number of first lines that were shipped; not `complete`: the log group has more."""

    lines: int
    complete: bool


class Memory(Struct, frozen=True):
    """Log groups by name, and what people have chosen.

    `by_hand`: log groups that people linked (True) or unlinked, whatever the settings say; a bucket
    is there as `s3://NAME`.
    `stopped`: people unlinked everything. `account_policy`: our policy is there, and was put first
    at `policy_since`, in ms since 1970.
    """

    groups: dict[str, GroupState] = {}
    by_hand: dict[str, bool] = {}
    stopped: bool = False
    account_policy: bool = False
    policy_since: int = 0
    buckets: dict[str, int] = {}


class MemoryUpdate(Struct, frozen=True, kw_only=True):
    """The changes of one run: log groups as they are now, choices of people; None removes one.

    `caught_up` names log groups with their `created` whose first lines have been shipped. It does
    not carry their filters, as another run may have changed those meanwhile.
    """

    groups: Mapping[str, GroupState | None] = {}
    caught_up: Mapping[str, int] = {}
    by_hand: Mapping[str, bool | None] = {}
    stopped: bool | None = None
    account_policy: bool | None = None
    policy_since: int | None = None
    buckets: Mapping[str, int | None] = {}


def memory_key(origin: Origin) -> str:
    """Give the memory's key in the bucket."""
    return f"links/{origin.account}/{origin.region}.json.gz"


def encode_memory(memory: Memory) -> bytes:
    """Compress a memory; the same memory always gives the same bytes."""
    return gzip.compress(msgspec.json.encode(memory, order="sorted"), compresslevel=6, mtime=0)


def decode_memory(body: bytes | None) -> Memory:
    """Read a memory; an empty one if there is none or it cannot be read."""
    try:
        return Memory() if body is None else msgspec.json.decode(gzip.decompress(body), type=Memory)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError, UnicodeError):
        return Memory()


def merge_memory(memory: Memory, update: MemoryUpdate) -> Memory:
    """Apply an update to a memory that another run may have changed meanwhile."""
    groups = _changed(memory.groups, update.groups)
    for name, created in update.caught_up.items():
        state = groups.get(name)
        if state is not None and state.created == created:
            groups[name] = structs.replace(state, caught_up=True)
    policy_since = update.policy_since
    return Memory(
        groups=groups,
        by_hand=_changed(memory.by_hand, update.by_hand),
        stopped=memory.stopped if update.stopped is None else update.stopped,
        account_policy=(
            memory.account_policy if update.account_policy is None else update.account_policy
        ),
        policy_since=memory.policy_since if policy_since is None else policy_since,
        buckets=_changed(memory.buckets, update.buckets),
    )


def remembered_state(memory: Memory, group: LogGroup) -> GroupState | None:
    """Give the state of a log group; None if it is new, or created again under its name."""
    state = memory.groups.get(group.name)
    return state if state is not None and state.created == group.created else None


def _changed[V](values: Mapping[str, V], changes: Mapping[str, V | None]) -> dict[str, V]:
    merged = {**values, **changes}
    return {name: value for name, value in merged.items() if value is not None}
