"""What redriving needs of the world, made of what the shipper needs."""

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.redriver.attempt import Ship
from loki_shipper.redriver.bucket import Bucket
from loki_shipper.redriver.pace import Pace
from loki_shipper.redriver.tenants import Tenants
from loki_shipper.shipper.pipeline import Surroundings, ship
from loki_shipper.shipper.spill import Put


class Effects(Struct, frozen=True):
    """The effects that redriving needs, and the time at which the run began.

    `tenants` must hear what Loki answers to what `ship` pushes. `put` writes to the bucket.
    `remaining` is in seconds.
    """

    bucket: Bucket
    ship: Ship
    put: Put
    tenants: Tenants
    remaining: Callable[[], float]
    now: datetime


def effects(
    around: Surroundings,
    bucket: Bucket,
    *,
    workers: int,
    clock: Callable[[], float],
    now: datetime,
) -> Effects:
    """Give the effects of one of several workers, which push at a common pace.

    `around` must have a bucket to write to. `clock` is in seconds.
    """
    assert around.put is not None
    sink, tenants = around.sink, Tenants(clock)
    pace = Pace(sink.send, workers=workers, clock=clock, sleep=sink.sleep, remaining=sink.remaining)
    paced = replace(
        around,
        sink=replace(sink, send=pace, closed=tenants.closed, answered=tenants.answered),
    )
    return Effects(
        bucket, lambda payloads: ship(payloads, paced), around.put, tenants, sink.remaining, now
    )
