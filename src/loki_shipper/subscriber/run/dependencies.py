"""The effects that a run needs, and the memory that it shares with other runs."""

from collections.abc import Callable

from msgspec import Struct

from loki_shipper.aws.objects import ObjectFound
from loki_shipper.clock import Clock
from loki_shipper.subscriber.aws import SubscriberAws
from loki_shipper.subscriber.buckets.link import BucketOutcome
from loki_shipper.subscriber.filters.apply import ActionOutcome
from loki_shipper.subscriber.memory import (
    Memory,
    MemoryUpdate,
    decode_memory,
    encode_memory,
    memory_key,
    merge_memory,
)
from loki_shipper.subscriber.settings import SubscriberSettings
from loki_shipper.subscriber.store import update


class SubscriberDependencies(Struct, frozen=True):
    """The effects and settings of a run.

    `tell` gets each outcome for a log group at once, `tell_bucket` each one for a bucket.
    `stack_status` gives the status of the run's stack; None: it
    cannot be read.
    """

    aws: SubscriberAws
    settings: SubscriberSettings
    clock: Clock
    tell: Callable[[ActionOutcome], None] = lambda _: None
    tell_bucket: Callable[[BucketOutcome], None] = lambda _: None
    stack_status: Callable[[], str | None] = lambda: None


def read_memory(deps: SubscriberDependencies) -> Memory:
    """Read the memory; an empty one without a bucket. Raises AwsError."""
    if deps.settings.bucket is None:
        return Memory()
    found = deps.aws.read_object(memory_key(deps.settings.origin))
    return decode_memory(found.body if isinstance(found, ObjectFound) else None)


def remember(memory_update: MemoryUpdate, deps: SubscriberDependencies) -> None:
    """Merge an update into the memory in the bucket. Raises AwsError, ConflictError."""
    if deps.settings.bucket is not None and memory_update != MemoryUpdate():
        update(
            memory_key(deps.settings.origin),
            lambda body: encode_memory(merge_memory(decode_memory(body), memory_update)),
            deps.aws,
        )
