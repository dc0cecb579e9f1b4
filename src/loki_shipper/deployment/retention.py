"""Sets how long CloudWatch Logs keeps the lines of log groups, and takes it back.

Only log groups that never expire get a retention. An object of the bucket remembers which ones did,
before the first one is changed, so that `unlink` can let them never expire again. It is an object
of its own, as a subscriber of an older version would lose a field of its memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from loki_shipper import prices
from loki_shipper.aws.arn import Origin
from loki_shipper.aws.boto import call_boto
from loki_shipper.aws.errors import AwsError
from loki_shipper.aws.objects import ObjectFound
from loki_shipper.aws.paced_calls import PacedCalls
from loki_shipper.subscriber.model import LogGroup
from loki_shipper.subscriber.store import Objects, update

RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1_096, 1_827, 2_192, 2_557, 2_922, 3_288, 3_653),
)
"""The values that CloudWatch Logs takes: `PutRetentionPolicy`, API reference."""

_DAY_MS: Final = 86_400_000


class SetRetention(Struct, frozen=True):
    """A log group that never expired until a command gave it a retention of so many days.

    `created` tells it from a later log group of its name; it is in ms since 1970.
    """

    created: int
    days: int


type RetentionRecord = dict[str, SetRetention]
"""The log groups with a retention of ours, by name."""


class RetentionChange(Struct, frozen=True):
    """The retention that a log group now has; None: it never expires.

    With a `fault`, AWS's error code, it is the one that the log group should have.
    """

    log_group: str
    days: int | None
    fault: str | None = None

    @property
    def words(self) -> str:
        """Give the retention in words."""
        return retention_text(self.days)


class RetentionEffects(Struct, frozen=True):
    """The calls for retentions; `put` gets None to let a log group never expire.

    `read` finds a log group. All raise AwsError.
    """

    objects: Objects
    key: str
    read: Callable[[str], LogGroup | None]
    put: Callable[[str, int | None], None]


def retention_text(days: int | None) -> str:
    """Write a retention in words."""
    if days is None:
        return "never expires"
    return "1 day" if days == 1 else f"{days:,} days"


def retention_key(origin: Origin) -> str:
    """Give the record's key in the bucket."""
    return f"links/{origin.account}/{origin.region}.retention.json"


def retention_writer(logs: Any, pace: PacedCalls) -> Callable[[str, int | None], None]:
    """Return a function that sets the retention of a log group; None: it never expires."""

    def put(log_group: str, days: int | None) -> None:
        if days is None:
            call, operation = logs.delete_retention_policy, "DeleteRetentionPolicy"
            arguments: dict[str, Any] = {"logGroupName": log_group}
        else:
            call, operation = logs.put_retention_policy, "PutRetentionPolicy"
            arguments = {"logGroupName": log_group, "retentionInDays": days}
        pace(operation, lambda: call_boto(lambda: call(**arguments)))

    return put


def set_retention(
    groups: Sequence[LogGroup], days: int, effects: RetentionEffects
) -> Iterator[RetentionChange]:
    """Give a retention to those log groups that never expire, and yield each.

    Nothing is changed if the record cannot be written. Raises ConflictError.
    """
    endless = [group for group in groups if group.retention_days is None]
    if not endless:
        return
    try:
        _update(effects, {each.name: SetRetention(each.created, days) for each in endless})
    except AwsError as error:
        yield from (RetentionChange(each.name, days, error.code) for each in endless)
        return
    for group in endless:
        try:
            now = effects.read(group.name)
            # Somebody may have set another retention since the log groups were listed.
            if now is not None and now.retention_days is None:
                effects.put(group.name, days)
                yield RetentionChange(group.name, days)
        except AwsError as error:
            yield RetentionChange(group.name, days, error.code)


def restore_retention(names: Iterable[str], effects: RetentionEffects) -> Iterator[RetentionChange]:
    """Let those log groups never expire again that have the retention that we set; yield each.

    Raises AwsError, ConflictError if the record cannot be read or written.
    """
    record = _decoded(_body(effects))
    done: dict[str, None] = {}
    for name in sorted(record.keys() & {*names}):
        try:
            if _is_ours(effects.read(name), record[name]):
                effects.put(name, None)
                yield RetentionChange(name, None)
            done[name] = None
        except AwsError as error:
            yield RetentionChange(name, None, error.code)
    if done:
        _update(effects, done)


def _is_ours(group: LogGroup | None, ours: SetRetention) -> bool:
    return group is not None and (group.created, group.retention_days) == (ours.created, ours.days)


def _update(effects: RetentionEffects, changes: Mapping[str, SetRetention | None]) -> None:
    def change(body: bytes | None) -> bytes:
        merged = {**_decoded(body), **changes}
        kept = {name: value for name, value in merged.items() if value is not None}
        return msgspec.json.encode(kept, order="sorted")

    update(effects.key, change, effects.objects)


def _body(effects: RetentionEffects) -> bytes | None:
    found = effects.objects.read_object(effects.key)
    return found.body if isinstance(found, ObjectFound) else None


def _decoded(body: bytes | None) -> RetentionRecord:
    return {} if body is None else msgspec.json.decode(body, type=RetentionRecord)


class RetentionSaving(Struct, frozen=True):
    """What a shorter retention of a log group saves: bytes, and at most so many dollars a month."""

    group: LogGroup
    saved_bytes: int

    @property
    def dollars(self) -> float:
        """The price of these bytes as they are; AWS charges for them after compression."""
        return self.saved_bytes / prices.GB * prices.LOGS_STORED_GB.dollars


def retention_savings(groups: Iterable[LogGroup], days: int, now: int) -> list[RetentionSaving]:
    """Estimate what a retention saves, most first; `now` is in ms since 1970.

    A log group is taken to have received as many bytes each day of its life.
    """
    savings = [RetentionSaving(each, _saved_bytes(each, days, now)) for each in groups]
    return sorted(savings, key=lambda each: (-each.saved_bytes, each.group.name))


def _saved_bytes(group: LogGroup, days: int, now: int) -> int:
    age = max(now - group.created, 1) / _DAY_MS
    kept = age if group.retention_days is None else min(age, group.retention_days)
    return round(group.stored_bytes * max(0.0, 1 - days / kept))
