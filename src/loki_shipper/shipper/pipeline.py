"""The spine: composes the stages and does nothing else."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from msgspec import Struct

from loki_shipper.model import LogData
from loki_shipper.settings import Settings
from loki_shipper.shipper.batch import batch
from loki_shipper.shipper.decode import decode
from loki_shipper.shipper.deliver import Sink, deliver
from loki_shipper.shipper.label import label
from loki_shipper.shipper.outcome import Report, Settled, settle
from loki_shipper.shipper.source import UndecodableError, source
from loki_shipper.shipper.spill import Put, SpillError, spill, spill_undecodable
from loki_shipper.shipper.transform import Book, transform


class Surroundings(Struct, frozen=True):
    """What the pipeline needs of the world.

    `tags` gives a log group's (owner, log group); `region` and `own_log_group` are the function's;
    `book` holds the rules; `put` writes to the bucket, None where there is none.
    """

    settings: Settings
    book: Book
    region: str
    own_log_group: str | None
    tags: Callable[[str, str], Mapping[str, str]]
    sink: Sink
    put: Put | None


def pipeline(event: Any, around: Surroundings) -> Report:
    """Ship what an invocation event holds and report what became of it.

    Raises UndecodableError for an event that holds no record, where there is no bucket to keep it.
    """
    try:
        data = decode(source(event))
    except UndecodableError as error:
        if around.put is None:
            raise
        return _keep_undecodable(event, str(error), around.put)
    if data is None:
        return Report()
    if data.log_group == around.own_log_group:
        # Its lines are about deliveries: shipping them would never end.
        return Report(
            received=len(data.log_events), dropped={"own_log_group": len(data.log_events)}
        )
    return _ship(data, around)


def _keep_undecodable(event: Any, why: str, put: Put) -> Report:
    try:
        spill_undecodable(event, reason=why, put=put)
    except SpillError as error:
        return Report(undecodable=why, failure=str(error))
    return Report(undecodable=why)


def _ship(data: LogData, around: Surroundings) -> Report:
    settings = around.settings
    tags = around.tags(data.owner, data.log_group)
    labelled = label(data, tags, region=around.region, settings=settings)
    transformed = transform(
        data, labelled.stream, labelled.metadata, book=around.book, settings=settings
    )
    batches = chain.from_iterable(
        batch(stream, entries, settings.max_batch_bytes) for stream, entries in transformed.streams
    )
    settled = settle(deliver(batches, around.sink))
    return Report(
        received=len(data.log_events),
        delivered=settled.delivered,
        late=settled.late,
        dropped=transformed.dropped,
        matched=transformed.matched,
        rejected={reason: len(events) for reason, events in settled.rejected.items()},
        errored={reason: len(events) for reason, events in settled.errored.items()},
        newest=max((event.timestamp for event in data.log_events), default=0),
        failure=_keep(data, settled, around.put),
    )


def _keep(data: LogData, settled: Settled, put: Put | None) -> str | None:
    """Put what Loki did not take into the bucket; say why the invocation must fail, if it must.

    It fails where nothing was delivered, or nobody else would keep the rest: Lambda tries again,
    and then writes the event to the bucket itself.
    """
    errored = settled.errored_events
    failure = f"not delivered: {', '.join(sorted(settled.errored))}" if errored else None
    if put is None:
        return failure
    try:
        for reason, events in settled.rejected.items():
            spill(data, events, folder="rejected", reason=reason, put=put)
        if failure is None or not settled.delivered:
            return failure
        spill(data, errored, folder="failed", reason=failure, put=put)
    except SpillError as error:
        return str(error)
    return None
