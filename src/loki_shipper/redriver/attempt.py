"""Ships the dead letters of one log group together, and gives a result for each."""

from collections.abc import Callable, Sequence
from itertools import chain, islice

from msgspec import Struct

from loki_shipper.model import LogData
from loki_shipper.redriver.bucket import StoredObject
from loki_shipper.redriver.tenants import CLOSED, is_of_tenant
from loki_shipper.shipper.delivery.answer import OUT_OF_TIME
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, PutObject
from loki_shipper.shipper.delivery.outcome import Shipped
from loki_shipper.shipper.delivery.undelivered import save_undelivered

type ShipTogether = Callable[[Sequence[LogData]], list[Shipped]]
"""Pushes payloads and gives the outcomes of each; it writes nothing to the bucket."""


class DeadLetter(Struct, frozen=True):
    """An object of the bucket and the payloads in it, at least one."""

    stored: StoredObject
    payloads: list[LogData]


class Completed(Struct, frozen=True):
    """All lines of the object are delivered, dropped by a rule, or written to the bucket again.

    `is_rewritten`: lines were written under the object's own key, so it must not be deleted.
    """

    shipped: list[Shipped]
    is_rewritten: bool


class Undelivered(Struct, frozen=True):
    """No line of the object was delivered; `tenants` are the tenants of its lines."""

    reasons: tuple[str, ...]
    tenants: frozenset[str | None] = frozenset()

    @property
    def is_out_of_time(self) -> bool:
        """Tell whether the run had no time for the object."""
        return OUT_OF_TIME in self.reasons

    @property
    def may_mean_loki_is_down(self) -> bool:
        """Tell whether Loki failed for the object, or for others of its tenant before."""
        return CLOSED in self.reasons or self.may_be_its_own_fault

    @property
    def may_be_its_own_fault(self) -> bool:
        """Tell whether the object itself may be the cause, and not its tenant or the time."""
        return not self.is_out_of_time and not any(map(is_of_tenant, self.reasons))


class NotSaved(Struct, frozen=True):
    """The undelivered lines of the object could not be written to the bucket."""


type AttemptResult = Completed | Undelivered | NotSaved


def attempt(
    letters: Sequence[DeadLetter], ship: ShipTogether, put: PutObject
) -> list[AttemptResult]:
    """Ship dead letters together, and give the result of each."""
    try:
        shipped = iter(ship([data for letter in letters for data in letter.payloads]))
    except Exception as error:  # noqa: BLE001 - an object that breaks the pipeline must not stop the rest
        return [Undelivered((f"crashed_{type(error).__name__}",))] * len(letters)
    return [_saved(letter, [*islice(shipped, len(letter.payloads))], put) for letter in letters]


def _saved(letter: DeadLetter, shipped: list[Shipped], put: PutObject) -> AttemptResult:
    written: set[str] = set()

    def put_and_record(key: str, body: bytes) -> None:
        put(key, body)
        written.add(key)

    try:
        unsaved = [save_undelivered(each, put_and_record, in_bucket=True) for each in shipped]
    except DeadLetterError:
        return NotSaved()
    if reasons := tuple(dict.fromkeys(chain.from_iterable(unsaved))):
        return Undelivered(
            reasons, frozenset(chain.from_iterable(each.tenants for each in shipped))
        )
    return Completed(shipped, is_rewritten=letter.stored.key in written)
