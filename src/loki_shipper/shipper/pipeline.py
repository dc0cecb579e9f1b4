"""Calls the stages of shipping, one after the other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import OWN_TAG, Batch, Entry, LogData, LogSource, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import OUT_OF_TIME
from loki_shipper.shipper.delivery.batch import batch
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError, PutObject, write_undecodable
from loki_shipper.shipper.delivery.deliver import DeliveryEffects, deliver
from loki_shipper.shipper.delivery.failed_records import ReportedRecord, report_records
from loki_shipper.shipper.delivery.outcome import (
    Deferred,
    Errored,
    Outcome,
    Rejected,
    Report,
    Settled,
    Shipped,
    settle,
    settle_each,
    total,
)
from loki_shipper.shipper.delivery.undelivered import not_delivered, save_undelivered
from loki_shipper.shipper.entries.transform import OutOfTimeError, RuleState, transform
from loki_shipper.shipper.labels.decide import MissingTenant, label_stream, tag_source, takes_tenant
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.sources.event import Record, read_records

_timestamp = attrgetter("timestamp")

_MAX_TEXT_BYTES = 8 * 1024 * 1024
"""The most text in memory, in addition to one record."""


class ShipperDependencies(Struct, frozen=True):
    """The effects and settings that the pipeline uses.

    `tags` returns the tags of a log group. `account`, `region` and `own_log_group` are the
    function's. `account` is None if it is not known: then each payload counts as its own. `put`
    writes to the bucket; it is None without a bucket.
    """

    settings: Settings
    rule_state: RuleState
    account: str | None
    region: str
    own_log_group: str | None
    tags: Callable[[LogSource], LogGroupTags]
    delivery: DeliveryEffects
    put: PutObject | None


class _Prepared(Struct, frozen=True):
    """A payload before it is pushed: its streams, and the outcomes of entries that stay here."""

    shipped: Shipped
    streams: list[tuple[Stream, Sequence[Entry]]] = []
    not_pushed: list[Outcome] = []


def pipeline(event: Any, deps: ShipperDependencies) -> Report:
    """Ship the records of an event, and report what became of them."""
    reported = [each for part in _parts(read_records(event)) for each in _ship_part(part, deps)]
    return report_records(reported, deps.put)


def _parts(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Divide the records of a batch, in their order, so that the text of a part fits into memory.

    A batch has at most 6 MB, but may unpack to much more.
    """
    part: list[Record] = []
    size = 0
    for record in records:
        if size > _MAX_TEXT_BYTES:
            yield part
            part, size = [], 0
        part.append(record)
        if record.item_identifier is not None:
            size += sum(len(event.message) for data in record.payloads for event in data.log_events)
    yield part


def _ship_part(records: list[Record], deps: ShipperDependencies) -> Iterator[ReportedRecord]:
    shipped = iter(ship([data for record in records for data in record.payloads], deps))
    for record in records:
        report = _save(record, [*islice(shipped, len(record.payloads))], deps.put)
        yield ReportedRecord(record.event, record.item_identifier, report)


def ship(payloads: Sequence[LogData], deps: ShipperDependencies) -> list[Shipped]:
    """Push payloads, and return the result of each; entries of one stream are pushed together."""
    prepared = [_prepare(data, deps) for data in payloads]
    not_pushed = (outcome for each in prepared for outcome in each.not_pushed)
    batches = _batches(prepared, deps.settings.max_batch_bytes)
    outcomes = chain(not_pushed, deliver(batches, deps.delivery))
    if len(prepared) == 1:
        settled = {0: settle(outcomes)}
    else:
        settled = settle_each(outcomes, _payload_of(prepared))
    return [
        replace(each.shipped, settled=settled.get(number, Settled()))
        for number, each in enumerate(prepared)
    ]


def _save(record: Record, shipped: list[Shipped], put: PutObject | None) -> Report:
    """Save the undelivered log events of a record in the bucket, and report on the record."""
    if record.fault is not None:
        return _save_undecodable(record.event, record.fault, put)
    return total([_save_payload(each, put) for each in shipped])


def _save_payload(shipped: Shipped, put: PutObject | None) -> Report:
    try:
        reasons = save_undelivered(shipped, put)
    except DeadLetterError as error:
        return shipped.report(failure=str(error))
    return shipped.report(failure=not_delivered(reasons) if reasons else None)


def _save_undecodable(event: Any, fault: str, put: PutObject | None) -> Report:
    undecodable = {fault: 1}
    if put is None:
        return Report(undecodable=undecodable, failure=fault)
    try:
        write_undecodable(event, reason=fault, put=put)
    except DeadLetterError as error:
        return Report(undecodable=undecodable, failure=str(error))
    return Report(undecodable=undecodable)


def _prepare(data: LogData, deps: ShipperDependencies) -> _Prepared:
    settings, events = deps.settings, data.log_events
    if data.log_group == deps.own_log_group:
        # Each invocation writes to its own log, so shipping that log would never end.
        return _Prepared(Shipped(data, dropped={"own_log_group": len(events)}))
    found = deps.tags(tag_source(data, region=deps.region, settings=settings))
    if OWN_TAG in found.tags:
        # An account policy delivers the log of another stack until it excludes that log by name.
        return _Prepared(Shipped(data, dropped={"shipper_log_group": len(events)}))
    labelled = label_stream(
        data, found.tags, region=deps.region, settings=settings, tags_known=found.known
    )
    try:
        transformed = transform(
            data,
            labelled.stream,
            labelled.metadata,
            rule_state=deps.rule_state,
            settings=settings,
            remaining=deps.delivery.remaining,
        )
    except OutOfTimeError:
        unchanged = [Entry(0, event.message, (), event) for event in events]
        return _Prepared(Shipped(data), not_pushed=[Errored(unchanged, OUT_OF_TIME)])
    streams: list[tuple[Stream, Sequence[Entry]]] = []
    not_pushed: list[Outcome] = [
        Rejected(entries, reason) for reason, entries in transformed.rejected.items()
    ]
    for stream, entries in transformed.streams:
        if stream.tenant is not None and not takes_tenant(
            deps.account, data, stream.tenant, settings, region=deps.region
        ):
            not_pushed.append(Rejected(entries, "tenant_invalid"))
        elif labelled.missing_tenant is None or stream.tenant is not None:
            streams.append((stream, entries))
        else:
            not_pushed.append(_without_tenant(entries, labelled.missing_tenant))
    shipped = Shipped(
        data,
        dropped=transformed.dropped,
        matched=transformed.matched,
        tenants=frozenset(stream.tenant for stream, _ in streams),
        own_tenant=labelled.stream.tenant,
    )
    return _Prepared(shipped, streams, not_pushed)


def _without_tenant(entries: Sequence[Entry], reason: MissingTenant) -> Outcome:
    if reason == "no_tenant":
        return Rejected(entries, reason)
    # The lines get a tenant as soon as somebody corrects the tags, or AWS returns them.
    return Deferred(entries, reason)


def _batches(prepared: list[_Prepared], max_bytes: int) -> Iterator[Batch]:
    streams: dict[Stream, list[Sequence[Entry]]] = {}
    for each in prepared:
        for stream, entries in each.streams:
            streams.setdefault(stream, []).append(entries)
    for stream, parts in streams.items():
        entries = parts[0] if len(parts) == 1 else sorted(chain(*parts), key=_timestamp)
        yield from batch(stream, entries, max_bytes)


def _payload_of(prepared: list[_Prepared]) -> dict[int, int]:
    """Return the number of the payload of each log event, by the event's `id()`."""
    return {
        id(entry.event): number
        for number, each in enumerate(prepared)
        for entries in (
            *(entries for _, entries in each.streams),
            *(outcome.entries for outcome in each.not_pushed),
        )
        for entry in entries
    }
