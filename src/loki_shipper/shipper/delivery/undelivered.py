"""Saves the log events of a payload that Loki did not take in the bucket."""

from loki_shipper.shipper.delivery.dead_letters import Folder, PutObject, write_dead_letter
from loki_shipper.shipper.delivery.outcome import Shipped


def save_undelivered(
    shipped: Shipped, put: PutObject | None, *, in_bucket: bool = False
) -> tuple[str, ...]:
    """Write undelivered log events to the bucket, and return the reasons if they are not saved.

    Lambda retries an invocation that failed, and at last writes its event to the bucket itself. So
    nothing is written for a payload that failed entirely: the returned reasons make the invocation
    fail. `in_bucket`: the payload is an object of the bucket already, so nothing is written unless
    a part of it was delivered, rejected, dropped or dated. `put` is None if there is no bucket.
    Raises DeadLetterError.
    """
    settled = shipped.settled
    errored = tuple(sorted(settled.errored))
    waiting = sorted({reason for reason, _ in settled.deferred})
    if put is None or (in_bucket and not _has_progress(shipped)):
        return (*errored, *waiting)
    _save_rejected_and_deferred(shipped, put)
    if errored and not settled.delivered and not in_bucket:
        return errored
    if errored:
        events = [event for some in settled.errored.values() for event in some]
        write_dead_letter(
            shipped.data, events, folder="failed", reason=not_delivered(errored), put=put
        )
    return ()


def not_delivered(reasons: tuple[str, ...]) -> str:
    """Give the failure message for these reasons."""
    return f"not delivered: {', '.join(reasons)}"


def _has_progress(shipped: Shipped) -> bool:
    settled = shipped.settled
    is_dated = any(due is not None for _, due in settled.deferred)
    return bool(settled.delivered or settled.rejected or shipped.dropped or is_dated)


def _save_rejected_and_deferred(shipped: Shipped, put: PutObject) -> None:
    settled = shipped.settled
    for reason, events in settled.rejected.items():
        write_dead_letter(shipped.data, events, folder="rejected", reason=reason, put=put)
    for (reason, due), events in settled.deferred.items():
        folder: Folder = "failed" if due is None else "later"
        write_dead_letter(shipped.data, events, folder=folder, reason=reason, put=put, due=due)
