"""From what became of a payload to the bucket: what Loki does not hold is kept there."""

from loki_shipper.shipper.delivery.dead_letters import Folder, PutObject, write_dead_letter
from loki_shipper.shipper.delivery.outcome import Shipped


def keep(shipped: Shipped, put: PutObject | None, *, is_held: bool = False) -> tuple[str, ...]:
    """Write what Loki does not hold to the bucket; return why it is not delivered, if it is not.

    Lambda holds the event of an invocation that fails: it tries again, and in the end writes the
    event to the bucket itself. So an errored payload is not written while none of it is delivered.
    `is_held`: the bucket holds the payload already, so nothing is written while none of it has got
    any further. `put` is None where there is no bucket. Raises SpillError.
    """
    settled = shipped.settled
    errored = tuple(sorted(settled.errored))
    waiting = sorted({reason for reason, _ in settled.deferred})
    if put is None or (is_held and not _has_got_further(shipped)):
        return (*errored, *waiting)
    _keep_aside(shipped, put)
    if errored and not settled.delivered and not is_held:
        return errored
    if errored:
        events = [event for some in settled.errored.values() for event in some]
        write_dead_letter(
            shipped.data, events, folder="failed", reason=not_delivered(errored), put=put
        )
    return ()


def not_delivered(reasons: tuple[str, ...]) -> str:
    """Say why something was not delivered."""
    return f"not delivered: {', '.join(reasons)}"


def _has_got_further(shipped: Shipped) -> bool:
    settled = shipped.settled
    is_dated = any(due is not None for _, due in settled.deferred)
    return bool(settled.delivered or settled.rejected or shipped.dropped or is_dated)


def _keep_aside(shipped: Shipped, put: PutObject) -> None:
    """Write what Loki will never take, and what it will take later."""
    settled = shipped.settled
    for reason, events in settled.rejected.items():
        write_dead_letter(shipped.data, events, folder="rejected", reason=reason, put=put)
    for (reason, due), events in settled.deferred.items():
        folder: Folder = "failed" if due is None else "later"
        write_dead_letter(shipped.data, events, folder=folder, reason=reason, put=put, due=due)
