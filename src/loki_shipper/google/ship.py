"""Pushes entries together, and gives the outcome of each."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.google.entry import LoggedEntry
from loki_shipper.google.labels import label_entry
from loki_shipper.google.settings import GoogleSettings
from loki_shipper.model import Entry, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import OUT_OF_TIME
from loki_shipper.shipper.delivery.batch import batch
from loki_shipper.shipper.delivery.deliver import DeliveryEffects, deliver
from loki_shipper.shipper.delivery.outcome import (
    Errored,
    Outcome,
    Rejected,
    Settled,
    Shipped,
    settle_each,
)
from loki_shipper.shipper.entries.transform import OutOfTimeError, RuleState, transform

_timestamp = attrgetter("timestamp")

_CLOUD_RUN = frozenset({"cloud_run_revision", "cloud_run_job"})


class MapStreams(Protocol):
    """Calls a function for each of several streams, perhaps in threads; gives results in order."""

    def __call__[T, R](self, function: Callable[[T], R], values: Iterable[T], /) -> Iterable[R]:
        """Call it."""
        ...


class GoogleDependencies(Struct, frozen=True):
    """The effects and settings of one push; `map` pushes several streams at a time."""

    settings: Settings
    google: GoogleSettings
    rule_state: RuleState
    delivery: DeliveryEffects
    map: MapStreams = map


class _PreparedEntry(Struct, frozen=True):
    """An entry before it is pushed: its streams, and the outcomes of lines that stay here."""

    shipped: Shipped
    streams: list[tuple[Stream, Sequence[Entry]]] = []
    not_pushed: list[Outcome] = []


def ship_entries(entries: Sequence[LoggedEntry], deps: GoogleDependencies) -> list[Shipped]:
    """Push entries, those of a stream together, and give the outcome of each."""
    prepared = [_prepare(entry, deps) for entry in entries]
    payload_of = {
        id(event): number for number, each in enumerate(prepared) for event in _events(each)
    }
    pushed = deps.map(lambda stream: _deliver(stream, deps), _streams(prepared).items())
    not_pushed = (outcome for each in prepared for outcome in each.not_pushed)
    settled = settle_each(chain(not_pushed, *pushed), payload_of)
    return [
        replace(each.shipped, settled=settled.get(number, Settled()))
        for number, each in enumerate(prepared)
    ]


def _prepare(entry: LoggedEntry, deps: GoogleDependencies) -> _PreparedEntry:
    if _is_own(entry, deps.google.k_service):
        # Each request writes to the service's own log, so shipping that log would never end.
        return _PreparedEntry(Shipped(entry.data, dropped={"own_log": 1}))
    labelled = label_entry(entry, deps.settings, deps.google)
    try:
        transformed = transform(
            entry.data,
            labelled.stream,
            labelled.metadata,
            rule_state=deps.rule_state,
            settings=deps.settings,
            remaining=deps.delivery.remaining,
        )
    except OutOfTimeError:
        unchanged = [Entry(0, event.message, (), event) for event in entry.data.log_events]
        return _PreparedEntry(Shipped(entry.data), not_pushed=[Errored(unchanged, OUT_OF_TIME)])
    not_pushed: list[Outcome] = [
        Rejected(lines, reason) for reason, lines in transformed.rejected.items()
    ]
    streams: list[tuple[Stream, Sequence[Entry]]] = []
    for stream, lines in transformed.streams:
        if labelled.missing_tenant is None or stream.tenant is not None:
            streams.append((stream, lines))
        else:
            not_pushed.append(Rejected(lines, labelled.missing_tenant))
    shipped = Shipped(entry.data, dropped=transformed.dropped, matched=transformed.matched)
    return _PreparedEntry(shipped, streams, not_pushed)


def _is_own(entry: LoggedEntry, service: str | None) -> bool:
    return (
        service is not None
        and entry.origin.resource_type in _CLOUD_RUN
        and entry.origin.service == service
    )


def _events(prepared: _PreparedEntry) -> Iterable[object]:
    lines = chain(
        *(lines for _, lines in prepared.streams),
        *(outcome.entries for outcome in prepared.not_pushed),
    )
    return (line.event for line in lines)


def _streams(prepared: Iterable[_PreparedEntry]) -> dict[Stream, list[Entry]]:
    streams: dict[Stream, list[Entry]] = {}
    for each in prepared:
        for stream, lines in each.streams:
            streams.setdefault(stream, []).extend(lines)
    return streams


def _deliver(stream: tuple[Stream, list[Entry]], deps: GoogleDependencies) -> list[Outcome]:
    labels, entries = stream
    batches = batch(labels, sorted(entries, key=_timestamp), deps.settings.max_batch_bytes)
    return [*deliver(batches, deps.delivery)]
