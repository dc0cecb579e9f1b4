"""Reads the log data of an event that a command takes."""

from typing import Any, BinaryIO

from loki_shipper.cli.errors import InputError
from loki_shipper.local.log_files import open_as, open_sample, read_log_files
from loki_shipper.model import LogData
from loki_shipper.shipper.sources.event import is_of_queue, records


def event_payloads(event: Any, log_file: BinaryIO | None = None) -> list[LogData]:
    """Return the log data of an event, without AWS. Raises UndecodableError, InputError.

    `log_file` stands for the objects in S3 that the event names; samples need none.
    """
    if not is_of_queue(event):
        return records(event)
    opened = open_sample(event) if log_file is None else open_as(log_file.read())
    if opened is None:
        raise InputError(
            "the event names an object in S3 that is no sample: give --object FILE, or "
            "`loki-shipper explain s3://BUCKET/KEY`"
        )
    return read_log_files(event, opened)
