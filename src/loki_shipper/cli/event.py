"""`loki-shipper event`: makes the event that AWS would send for some lines or for an object."""

import json
import time
from hashlib import md5
from itertools import batched
from typing import Any, BinaryIO

import click
from msgspec.structs import replace

from loki_shipper.cli.errors import InputError
from loki_shipper.cli.object_name import object_name
from loki_shipper.local.notifications import Sender, queue_event
from loki_shipper.local.sample import from_lines, invocation_event, kinesis_event
from loki_shipper.model import LogData, S3Object

_RECORD_LINES = 1_000


@click.command()
@click.option("--log-group", metavar="GROUP", help="Log group of the lines.")
@click.option(
    "--log-stream", default="sample", show_default=True, metavar="STREAM", help="Its log stream."
)
@click.option(
    "--from-file",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="File in UTF-8, each line a log event; - reads stdin. With --s3: the object.",
)
@click.option(
    "--kinesis", is_flag=True, help="Make an event of a Kinesis stream: 1,000 lines a record."
)
@click.option("--s3", metavar="s3://BUCKET/KEY", help="Make an event about this object in S3.")
@click.option(
    "--via",
    type=click.Choice(["s3", "sns", "eventbridge"]),
    help="Who tells the queue about the object.  [default: s3]",
)
def event(  # noqa: PLR0913 - each is an option
    *,
    log_group: str | None,
    log_stream: str,
    file: BinaryIO | None,
    kinesis: bool,
    s3: str | None,
    via: Sender | None,
) -> None:
    """Make a sample event of a file's lines, or about an object in S3, and print it.

    The lines are a millisecond apart, and the last one is of now. Empty lines are left out, because
    CloudWatch Logs takes none.

    With --s3 the event has a message about one object, as S3 or a service between sends it. The
    object need not exist. With --from-file the message has the size and the ETag of that file.

    \b
    See what Loki would get of a log file:
      loki-shipper event --log-group /ecs/shop --from-file app.log |
        loki-shipper invoke --tag team=payments -
    \b
    The same if the file were an object in S3:
      loki-shipper event --s3 s3://my-logs/app/app.log --from-file app.log |
        loki-shipper invoke --object app.log -
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if (log_group is None) is (s3 is None):
        raise click.UsageError("give --log-group GROUP, or --s3 s3://BUCKET/KEY")
    if s3 is not None:
        if kinesis:
            raise click.UsageError("--kinesis is for --log-group")
        made = queue_event([_object(s3, file)], via or "s3")
    elif via is not None:
        raise click.UsageError("--via is for --s3")
    elif file is None:
        raise click.UsageError("give --from-file FILE")
    else:
        data = _log_data(str(log_group), log_stream, file)
        made = _kinesis_event(data) if kinesis else invocation_event(data)
    click.echo(json.dumps(made))


def _log_data(log_group: str, log_stream: str, file: BinaryIO) -> LogData:
    data = from_lines(
        file.read()
        .decode("utf-8", "replace")
        .replace("\r\n", "\n")
        .replace("\r", "\n")
        .split("\n"),
        log_group=log_group,
        log_stream=log_stream,
        newest=time.time_ns() // 1_000_000,
    )
    if not data.log_events:
        raise InputError(f"{file.name} has no lines: name another file")
    return data


def _object(name: str, file: BinaryIO | None) -> S3Object:
    """Return an object that was written now. Raises UsageError."""
    bucket, key = object_name(name)
    found = S3Object(bucket, key, written=time.time_ns() // 1_000_000)
    if file is None:
        return found
    body = file.read()
    # S3's ETag of an object that was written at once.
    etag = md5(body, usedforsecurity=False).hexdigest()
    return replace(found, size=len(body), etag=etag)


def _kinesis_event(data: LogData) -> dict[str, Any]:
    parts = batched(data.log_events, _RECORD_LINES)
    return kinesis_event(replace(data, log_events=[*part]) for part in parts)
