"""What a run needs of the world, and what it remembers of runs before it."""

from collections.abc import Callable

from msgspec import Struct

from loki_shipper.subscriber.apply import Outcome
from loki_shipper.subscriber.aws import Aws
from loki_shipper.subscriber.clock import Clock
from loki_shipper.subscriber.memory import (
    Lesson,
    Memory,
    decode_memory,
    encode_memory,
    learn,
    memory_key,
)
from loki_shipper.subscriber.settings import Settings
from loki_shipper.subscriber.store import update


class Surroundings(Struct, frozen=True):
    """What a run needs of the world.

    `tell` hears of each outcome as it comes. `stack_status` gives the status of the stack that a
    run is for; None: it cannot be found out.
    """

    aws: Aws
    settings: Settings
    clock: Clock
    tell: Callable[[Outcome], None] = lambda _: None
    stack_status: Callable[[], str | None] = lambda: None


def read_memory(around: Surroundings) -> Memory:
    """Read what is remembered. Raises AwsError."""
    if around.settings.bucket is None:
        return Memory()
    found = around.aws.read_object(memory_key(around.settings.origin))
    return decode_memory(None if found is None else found[0])


def remember(lesson: Lesson, around: Surroundings) -> None:
    """Write what was learned, beside what others learned. Raises AwsError, ConflictError."""
    if around.settings.bucket is not None and lesson != Lesson():
        update(
            memory_key(around.settings.origin),
            lambda body: encode_memory(learn(decode_memory(body), lesson)),
            around.aws,
        )
