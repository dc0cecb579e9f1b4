"""What a run needs of the world, and what it remembers of runs before it."""

from collections.abc import Callable

from msgspec import Struct

from loki_shipper.aws.objects import ObjectFound
from loki_shipper.clock import Clock
from loki_shipper.subscriber.aws import SubscriberAws
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
    """What a run needs of the world.

    `tell` hears of each outcome as it comes. `stack_status` gives the status of the stack that a
    run is for; None: it cannot be found out.
    """

    aws: SubscriberAws
    settings: SubscriberSettings
    clock: Clock
    tell: Callable[[ActionOutcome], None] = lambda _: None
    stack_status: Callable[[], str | None] = lambda: None


def read_memory(deps: SubscriberDependencies) -> Memory:
    """Read what is remembered. Raises AwsError."""
    if deps.settings.bucket is None:
        return Memory()
    found = deps.aws.read_object(memory_key(deps.settings.origin))
    return decode_memory(found.body if isinstance(found, ObjectFound) else None)


def remember(memory_update: MemoryUpdate, deps: SubscriberDependencies) -> None:
    """Write what was learned, beside what others learned. Raises AwsError, ConflictError."""
    if deps.settings.bucket is not None and memory_update != MemoryUpdate():
        update(
            memory_key(deps.settings.origin),
            lambda body: encode_memory(merge_memory(decode_memory(body), memory_update)),
            deps.aws,
        )
