"""From objects of one log group to what became of each: shipped together, kept one by one."""

from collections.abc import Callable, Sequence
from itertools import chain, islice

from msgspec import Struct

from loki_shipper.model import LogData
from loki_shipper.redriver.bucket import StoredObject
from loki_shipper.redriver.tenants import CLOSED, is_of_tenant
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, PutObject
from loki_shipper.shipper.delivery.outcome import Shipped
from loki_shipper.shipper.delivery.undelivered import save_undelivered

OUT_OF_TIME = "out_of_time"

type ShipTogether = Callable[[Sequence[LogData]], list[Shipped]]
"""Pushes payloads, and says what became of each; nothing is kept yet."""


class Item(Struct, frozen=True):
    """An object and the payloads in it, at least one."""

    stored: StoredObject
    payloads: list[LogData]


class Arrived(Struct, frozen=True):
    """All of the object is delivered, dropped by a rule or kept anew.

    `is_rewritten`: what was kept anew lies under the object's own key, which must stay.
    """

    shipped: list[Shipped]
    is_rewritten: bool


class Stuck(Struct, frozen=True):
    """Nothing of the object has got any further, for these reasons; `tenants` are its lines'."""

    reasons: tuple[str, ...]
    tenants: frozenset[str | None] = frozenset()

    @property
    def is_out_of_time(self) -> bool:
        """Tell whether only time was missing."""
        return OUT_OF_TIME in self.reasons

    @property
    def is_as_if_loki_were_down(self) -> bool:
        """Tell whether Loki failed it, or others of its tenant before it."""
        return CLOSED in self.reasons or self.may_be_its_own_fault

    @property
    def may_be_its_own_fault(self) -> bool:
        """Tell whether the reasons may lie in the object, as none names a tenant."""
        return not self.is_out_of_time and not any(map(is_of_tenant, self.reasons))


class Unkept(Struct, frozen=True):
    """What Loki did not take of the object could not be written to the bucket."""


type AttemptResult = Arrived | Stuck | Unkept


def attempt(items: Sequence[Item], ship: ShipTogether, put: PutObject) -> list[AttemptResult]:
    """Ship objects together, and say what became of each."""
    try:
        shipped = iter(ship([data for item in items for data in item.payloads]))
    except Exception as error:  # noqa: BLE001 - an object that breaks the pipeline must not stop the rest
        return [Stuck((f"crashed_{type(error).__name__}",))] * len(items)
    return [_kept(item, [*islice(shipped, len(item.payloads))], put) for item in items]


def _kept(item: Item, shipped: list[Shipped], put: PutObject) -> AttemptResult:
    written: set[str] = set()

    def recorded(key: str, body: bytes) -> None:
        put(key, body)
        written.add(key)

    try:
        kept = [save_undelivered(each, recorded, in_bucket=True) for each in shipped]
    except DeadLetterError:
        return Unkept()
    if reasons := tuple(dict.fromkeys(chain.from_iterable(kept))):
        return Stuck(reasons, frozenset(chain.from_iterable(each.tenants for each in shipped)))
    return Arrived(shipped, is_rewritten=item.stored.key in written)
