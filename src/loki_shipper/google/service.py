"""Connects the stages to Loki, to the bucket and to the log of the service."""

from collections.abc import Callable, Sequence
from itertools import chain

from msgspec import Struct

from loki_shipper.environment import SettingsError
from loki_shipper.google.entry import LoggedEntry
from loki_shipper.google.gather import ShipGathered
from loki_shipper.google.keep import keep_message, keep_rejected
from loki_shipper.google.log import CloudLog
from loki_shipper.google.request import PubSubMessage
from loki_shipper.google.ship import GoogleDependencies, ship_entries
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, PutObject
from loki_shipper.shipper.delivery.outcome import Report, Shipped, total


class GoogleEffects(Struct, frozen=True):
    """The effects of the service.

    `deps` gives those of one push; it raises SettingsError if the rules cannot be used. `put`
    writes to the bucket; it is None without a bucket, and then Pub/Sub keeps what Loki refuses.
    """

    deps: Callable[[], GoogleDependencies]
    put: PutObject | None
    log: CloudLog


def shipping(effects: GoogleEffects) -> ShipGathered:
    """Return the function that ships gathered entries."""

    def ship(entries: list[LoggedEntry]) -> Sequence[bool]:
        try:
            return _ship(entries, effects.deps(), effects)
        except SettingsError as error:
            effects.log.write_seldom("ERROR", f"nothing is shipped: {error}")
            return [False] * len(entries)
        except Exception as error:  # noqa: BLE001 - one entry must not stop the others
            if len(entries) == 1:
                return [keep_aside(entries[0].message, f"crashed_{type(error).__name__}", effects)]
            return [*chain.from_iterable(ship([each]) for each in entries)]

    return ship


def _ship(
    entries: list[LoggedEntry], deps: GoogleDependencies, effects: GoogleEffects
) -> list[bool]:
    shipped = ship_entries(entries, deps)
    is_kept = _is_kept(entries, shipped, effects)
    effects.log.add(total([each.report(failure=None) for each in shipped]))
    return [_is_safe(each, is_kept=is_kept) for each in shipped]


def _is_safe(shipped: Shipped, *, is_kept: bool) -> bool:
    """Tell whether Loki holds an entry, a rule dropped it, or the bucket holds it."""
    settled = shipped.settled
    if settled.errored or settled.deferred or (settled.rejected and not is_kept):
        return False
    return bool(settled.delivered or settled.rejected or shipped.dropped)


def _is_kept(entries: list[LoggedEntry], shipped: list[Shipped], effects: GoogleEffects) -> bool:
    """Write refused entries to the bucket, and tell whether they are all there."""
    return _keep(effects, lambda put: keep_rejected(entries, shipped, put))


def keep_aside(message: PubSubMessage, reason: str, effects: GoogleEffects) -> bool:
    """Write a message without an entry to the bucket, and tell whether it is there."""
    effects.log.add(Report(undecodable={reason: 1}))
    return _keep(effects, lambda put: keep_message(message, reason, put))


def _keep(effects: GoogleEffects, write: Callable[[PutObject], None]) -> bool:
    """Write to the bucket, and tell whether that was possible."""
    if effects.put is None:
        return False
    try:
        write(effects.put)
    except DeadLetterError as error:
        effects.log.write("ERROR", str(error), {})
        return False
    return True
