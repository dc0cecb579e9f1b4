"""What redriving needs of the world, made of what the shipper needs."""

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
"""Log groups that a run ships at the same time: most of a push is waiting for Loki."""


class Map(Protocol):
    """Calls a function on each of several values, perhaps at the same time, results in order."""

    def __call__[T, R](self, function: Callable[[T], R], values: Sequence[T], /) -> Iterable[R]:
        """Call it."""
        ...


class RedriveEffects(Struct, frozen=True):
    """The effects that redriving needs, and the time at which the run began.

    `tenants` must hear what Loki answers to what `ship` pushes. `put` writes to the bucket.
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
    map: Map = map,  # noqa: A002 - it is what Python's own does, or does it at once
) -> RedriveEffects:
    """Give the effects of one of several workers, which push at a common pace.

    `deps` must have a bucket to write to. `clock` is in seconds.
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
