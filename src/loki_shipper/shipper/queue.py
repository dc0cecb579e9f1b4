"""Ships the log files that messages of a queue are about, with the pipeline of log groups."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from loki_shipper.shipper.log_files.effects import LogFileEffects
from loki_shipper.shipper.log_files.ship import ship_messages
from loki_shipper.shipper.log_files.types import reader_of
from loki_shipper.shipper.objects import ObjectReader, progress_store, send_message
from loki_shipper.shipper.pipeline import ShipperDependencies, ship

if TYPE_CHECKING:
    from loki_shipper.aws.boto import AwsSession
    from loki_shipper.shipper.delivery.outcome import Report


def ship_log_files(event: Any, deps: ShipperDependencies, session: AwsSession | None) -> Report:
    """Ship the log files of an event of a queue, and report what became of them."""
    settings = deps.settings
    return ship_messages(
        event,
        LogFileEffects(
            account=deps.account or "",
            buckets=settings.log_buckets,
            bucket=settings.bucket,
            open_object=_object_reader(session),
            reader_of=reader_of,
            ship=lambda payloads: ship(payloads, deps),
            put=deps.put,
            progress=progress_store(settings.bucket, session),
            send=partial(send_message, session=session),
            remaining=deps.delivery.remaining,
        ),
    )


@cache
def _object_reader(session: AwsSession | None) -> ObjectReader:
    """Keep the Regions of buckets for the life of the execution environment."""
    return ObjectReader(session)
