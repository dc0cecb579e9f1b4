"""Ships the log files of an event on this machine: from a file, a sample, or S3."""

import tomllib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from loki_shipper.bundle import bundled
from loki_shipper.formats import LogBucket
from loki_shipper.local.sample import OWNER
from loki_shipper.model import LogData, LogEvent, S3Object
from loki_shipper.shipper.delivery.outcome import Report, Shipped
from loki_shipper.shipper.log_files.effects import LogFileEffects, OpenObject
from loki_shipper.shipper.log_files.messages import read_messages
from loki_shipper.shipper.log_files.ship import ship_messages
from loki_shipper.shipper.log_files.types import reader_of
from loki_shipper.shipper.objects import ObjectReader, progress_store

if TYPE_CHECKING:
    from boto3 import Session as AwsSession

type OpenLogFile = Callable[[S3Object], OpenObject]
"""Opens the object of a notification. Raises ObjectError."""

_CHUNK: Final = 256 * 1024
_MS_BIT: Final = 144
_ID_DIGITS: Final = 56
_SAMPLES: Final = "events/s3"
_SAMPLE_BUCKET: Final = "my-logs"


def objects_of(event: Any) -> list[S3Object]:
    """List the objects that the messages of an event name."""
    return [found for message in read_messages(event) for found in message.objects]


def open_as(body: bytes) -> OpenLogFile:
    """Give these bytes for every object."""

    def opened(found: S3Object) -> OpenObject:
        chunks = (body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK))
        return OpenObject(replace(found, size=len(body)), chunks)

    return opened


def open_sample(event: Any) -> OpenLogFile | None:
    """Give the sample object that an event is about; None if it is about another one."""
    objects = objects_of(event)
    if len(objects) != 1 or objects[0].bucket != _SAMPLE_BUCKET:
        return None
    folder = bundled(_SAMPLES)
    samples = tomllib.loads((folder / "objects.toml").read_text("utf-8"))
    files = {sample["key"]: sample["file"] for sample in samples.values()}
    name = files.get(objects[0].key)
    return None if name is None else open_as((folder / name).read_bytes())


def open_in_s3(session: "AwsSession") -> OpenLogFile:
    """Read objects from S3 with the session's credentials."""
    return ObjectReader(session)


def ship_log_files(
    event: Any,
    log_buckets: tuple[LogBucket, ...],
    opened: OpenLogFile,
    ship: Callable[[Sequence[LogData]], list[Shipped]],
) -> Report:
    """Ship the log files of an event. Nothing is written to a bucket, and nothing comes again.

    Without `log_buckets`, each bucket of the event counts as listed.
    """
    buckets = {found.bucket for found in objects_of(event)}
    return ship_messages(
        event,
        LogFileEffects(
            account=OWNER,
            buckets=log_buckets or tuple(map(LogBucket, sorted(buckets))),
            bucket=None,
            open_object=opened,
            reader_of=reader_of,
            ship=ship,
            put=lambda _key, _body: None,
            progress=progress_store(None),
            send=lambda _queue, _body, _seconds: True,
            remaining=lambda: float("inf"),
        ),
    )


def read_log_files(event: Any, opened: OpenLogFile) -> list[LogData]:
    """Give the log data of the log files that an event names, some lines each."""
    found: list[LogData] = []

    def ship(payloads: Sequence[LogData]) -> list[Shipped]:
        found.extend(payloads)
        return [Shipped(data) for data in payloads]

    ship_log_files(event, (), opened, ship)
    return found


def moved(payloads: Sequence[LogData], shift: int) -> list[LogData]:
    """Shift the times of log events by some ms."""
    return [
        replace(data, log_events=[_moved(each, shift) for each in data.log_events])
        for data in payloads
    ]


def _moved(event: LogEvent, shift: int) -> LogEvent:
    number = int(event.id) + (shift << _MS_BIT)
    return replace(event, timestamp=event.timestamp + shift, id=f"{number:0{_ID_DIGITS}d}")
