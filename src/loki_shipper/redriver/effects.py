"""The effects of the redriver, built on those of the shipper."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.redriver.attempt import ShipTogether
from loki_shipper.redriver.bucket import Bucket
from loki_shipper.redriver.pace import PushPace
from loki_shipper.redriver.tenants import Tenants
from loki_shipper.shipper.delivery.dead_letters import PutObject
from loki_shipper.shipper.pipeline import ShipperDependencies, ship

CONCURRENT_LOG_GROUPS = 8
"""Log groups that a run ships at the same time, as a push mostly waits for Loki."""


class Map(Protocol):
    """Calls a function with each of several values, perhaps in threads; gives results in order."""

    def __call__[T, R](self, function: Callable[[T], R], values: Sequence[T], /) -> Iterable[R]:
        """Call it."""
        ...


class RedriveEffects(Struct, frozen=True):
    """The effects that `redrive` needs, and the time at which the run began.

    `tenants` must get Loki's answers to the pushes of `ship`. `put` writes to the bucket.
    `remaining` is in seconds. `map` ships several log groups at a time.
    """

    bucket: Bucket
    ship: ShipTogether
    put: PutObject
    tenants: Tenants
    remaining: Callable[[], float]
    now: datetime
    map: Map


def redrive_effects(  # noqa: PLR0913 - each is an effect or a bound
    deps: ShipperDependencies,
    bucket: Bucket,
    *,
    workers: int,
    clock: Callable[[], float],
    now: datetime,
    map: Map = map,  # noqa: A002 - it replaces Python's map
) -> RedriveEffects:
    """Give the effects of a worker; all workers together keep the rate limits.

    `deps` must have a bucket. `clock` is in seconds.
    """
    assert deps.put is not None
    delivery, tenants = deps.delivery, Tenants(clock)
    pace = PushPace(
        delivery.send,
        workers=workers,
        clock=clock,
        sleep=delivery.sleep,
        remaining=delivery.remaining,
    )
    paced = replace(
        deps,
        delivery=replace(
            delivery, send=pace, closed_reason=tenants.closed_reason, on_answer=tenants.on_answer
        ),
    )
    return RedriveEffects(
        bucket=bucket,
        ship=lambda payloads: ship(payloads, paced),
        put=deps.put,
        tenants=tenants,
        remaining=delivery.remaining,
        now=now,
        map=map,
    )
