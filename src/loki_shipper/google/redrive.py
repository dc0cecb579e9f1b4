"""Ships what Loki refused again, object by object, and deletes what it then holds.

An object stays as it is unless Loki holds each of its entries, or a rule drops them. Loki stores an
entry that it holds already only once.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from msgspec import DecodeError, Struct
from msgspec.json import decode

from loki_shipper.google.entry import LoggedEntry, NotALogEntryError, read_entry
from loki_shipper.google.request import NotAMessageError, read_messages
from loki_shipper.google.storage import CloudObject, CloudStorage
from loki_shipper.shipper.delivery.outcome import Shipped

_FAILURES = 3
"""Objects in a row for which Loki fails, and which end the run."""

type GoogleEnding = Literal["done", "loki_down"]


class GoogleRedriveReport(Struct, frozen=True):
    """The results of a run.

    `objects` were shipped and deleted, with so many `lines`, of which so many were `late`. `left`
    objects stay, for the reasons in `failures`.
    """

    objects: int = 0
    lines: int = 0
    late: int = 0
    left: int = 0
    failures: dict[str, int] = {}
    ended: GoogleEnding = "done"


def redrive_google(
    waiting: Iterable[CloudObject],
    storage: CloudStorage,
    ship: Callable[[Sequence[LoggedEntry]], list[Shipped]],
    on_progress: Callable[[GoogleRedriveReport], None] = lambda _: None,
) -> GoogleRedriveReport:
    """Ship objects in their order. Raises StorageError."""
    report = GoogleRedriveReport()
    failures = Counter[str]()
    in_a_row = 0
    for stored in waiting:
        reasons, shipped = _take(stored, storage, ship)
        failures.update(reasons)
        is_left = bool(reasons)
        report = GoogleRedriveReport(
            objects=report.objects + (not is_left),
            lines=report.lines + sum(each.settled.delivered for each in shipped),
            late=report.late + sum(each.settled.late for each in shipped),
            left=report.left + is_left,
            failures=dict(failures),
        )
        on_progress(report)
        has_failed = any(each.settled.errored for each in shipped)
        in_a_row = in_a_row + 1 if has_failed else 0
        if in_a_row == _FAILURES:
            return GoogleRedriveReport(
                report.objects, report.lines, report.late, report.left, dict(failures), "loki_down"
            )
    return report


def _take(
    stored: CloudObject,
    storage: CloudStorage,
    ship: Callable[[Sequence[LoggedEntry]], list[Shipped]],
) -> tuple[set[str], list[Shipped]]:
    """Ship an object, and return the reasons why it stays, and the outcomes of its entries."""
    body = storage.get(stored.key)
    if body is None:
        return set(), []
    try:
        entries = [read_entry(message) for message in read_messages(_event(body))]
    except (NotAMessageError, NotALogEntryError):
        return {"no_entry"}, []
    shipped = ship(entries)
    reasons = {reason for each in shipped for reason in _reasons(each)}
    if not reasons:
        storage.delete(stored.key)
    return reasons, shipped


def _event(body: bytes) -> Any:
    try:
        match decode(body):
            case {"requestPayload": event}:
                return event
            case _:
                return None
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _reasons(shipped: Shipped) -> Iterable[str]:
    settled = shipped.settled
    yield from settled.rejected
    yield from settled.errored
    yield from (reason for reason, _ in settled.deferred)
    if not (settled.delivered or settled.rejected or settled.errored or settled.deferred):
        yield from () if shipped.dropped else ("no_outcome",)
