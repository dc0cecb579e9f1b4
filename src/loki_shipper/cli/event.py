"""`loki-shipper event`: makes the event that CloudWatch Logs would send for some lines."""

import json
import time
from itertools import batched
from typing import Any, TextIO

import click
from msgspec.structs import replace

from loki_shipper.cli.errors import InputError
from loki_shipper.local.sample import from_lines, invocation_event, kinesis_event
from loki_shipper.model import LogData

_RECORD_LINES = 1_000


@click.command()
@click.option("--log-group", required=True, metavar="GROUP", help="Log group of the lines.")
@click.option(
    "--log-stream", default="sample", show_default=True, metavar="STREAM", help="Its log stream."
)
@click.option(
    "--from-file",
    "file",
    required=True,
    type=click.File(encoding="utf-8", errors="replace"),
    metavar="FILE",
    help="File in UTF-8, each line a log event; - reads stdin.",
)
@click.option(
    "--kinesis", is_flag=True, help="Make an event of a Kinesis stream: 1,000 lines a record."
)
def event(log_group: str, log_stream: str, file: TextIO, *, kinesis: bool) -> None:
    """Make a sample event of a log file's lines, and print it.

    The lines are a millisecond apart, and the last one is of now. Empty lines are left out, because
    CloudWatch Logs takes none.

    \b
    See what Loki would get of a log file:
      loki-shipper event --log-group /ecs/shop --from-file app.log |
        loki-shipper invoke --tag team=payments -
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    data = from_lines(
        file.read().split("\n"),
        log_group=log_group,
        log_stream=log_stream,
        newest=time.time_ns() // 1_000_000,
    )
    if not data.log_events:
        raise InputError(f"{file.name} has no lines: name another file")
    click.echo(json.dumps(_kinesis_event(data) if kinesis else invocation_event(data)))


def _kinesis_event(data: LogData) -> dict[str, Any]:
    parts = batched(data.log_events, _RECORD_LINES)
    return kinesis_event(replace(data, log_events=[*part]) for part in parts)
