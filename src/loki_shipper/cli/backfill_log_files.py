"""Ships log files that were in a bucket before it was linked: the part of `backfill` for S3."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import click
from msgspec import Struct

from loki_shipper.aws.boto import call_boto
from loki_shipper.cli.confirm import confirm
from loki_shipper.cli.deployment import Deployment, current_clock
from loki_shipper.cli.errors import InputError, InterruptedRunError
from loki_shipper.cli.formatting import count_text, dollars_text, size_text, time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.listed_objects import ObjectsPage, listed_objects, listed_prefixes
from loki_shipper.cli.notify_objects import log_files_queue, notify
from loki_shipper.cli.object_name import SCHEME
from loki_shipper.cli.past_span import check_span, command_for_rest, too_old, young_enough
from loki_shipper.cli.progress import listing_bar, object_bar
from loki_shipper.deployment.cost_of_log_files import log_files_cost
from loki_shipper.formats import LogBucket
from loki_shipper.model import S3Object
from loki_shipper.subscriber.first_lines.backfill import Span
from loki_shipper.subscriber.run.dependencies import read_memory

_EFFECTIVE_MS = 5 * 60_000
"""S3 needs some minutes until it sends the first notification of a new configuration."""


class LogFilesPast(Struct, frozen=True):
    """How many log files there are to ship, their bytes, and how many more S3 has archived."""

    objects: int
    size: int
    archived: int


class LogFilesRequest(Struct, frozen=True):
    """What to ship: objects of `s3://bucket/prefix`, of this time; `after` is the last key done.

    Times are in ms since 1970.
    """

    name: str
    begin: int
    end: int | None
    oldest: int
    after: str
    is_time: bool
    dry_run: bool
    yes: bool
    as_json: bool


def backfill_log_files(request: LogFilesRequest, deployment: Deployment) -> None:
    """Send notifications of log files to the stack's queue. Raises what boto3 raises, AwsError."""
    clock = current_clock()
    now = clock.now()
    check_span(request.begin, request.end, now, is_time=request.is_time)
    bucket, _, prefix = request.name.removeprefix(SCHEME).partition("/")
    end = _linked(bucket, deployment, now) if request.end is None else min(request.end, now)
    wanted = Span(request.begin, end)
    span = young_enough(wanted, request.oldest)
    if span.start >= span.end:
        raise InputError(f"nothing to ship: {_why_empty(bucket, wanted, span)}")
    prefixes = _prefixes(bucket, prefix, deployment.own.log_buckets)
    queue = log_files_queue(deployment)
    listing = partial(
        listed_objects,
        deployment.client("s3").list_objects_v2,
        bucket,
        prefixes,
        span,
        request.after,
    )
    past = _counted(listing())
    _say(past)
    sent = 0
    if past.objects and not request.dry_run:
        confirm(f"Ship {count_text(past.objects, 'log file')}?", yes=request.yes)
        # They are listed again: the names of millions would fill the memory.
        sent = _send(notify(_listed_again(listing()), queue, clock.sleep), past, span)
    if request.as_json:
        print_objects([_as_object(bucket, prefix, span, past, sent)])
    elif request.dry_run:
        click.echo(f"{count_text(past.objects, 'log file')} to ship")
    else:
        click.echo(_sent(sent))


def _linked(bucket: str, deployment: Deployment, now: int) -> int:
    """Return when a bucket began to announce new objects to the queue, or now if it does not."""
    linked = read_memory(deployment.deps).buckets.get(bucket)
    return now if linked is None else min(now, linked + _EFFECTIVE_MS)


def _why_empty(bucket: str, wanted: Span, span: Span) -> str:
    if wanted.start < wanted.end:
        return too_old(span)
    return (
        f"{bucket} is linked, and the function gets the log files since {time_text(wanted.end)}; "
        "--until ships some of them again"
    )


def _prefixes(bucket: str, prefix: str, listed: tuple[LogBucket, ...]) -> list[str]:
    prefixes = listed_prefixes(bucket, prefix, listed)
    if prefixes:
        return prefixes
    named = ", ".join(f"{each.bucket}/{each.prefix}" for each in listed) or "no bucket"
    raise InputError(
        f"the function reads nothing of {SCHEME}{bucket}/{prefix}: LogBuckets names {named}. Add "
        "it with `loki-shipper deploy --set LogBuckets=…`"
    )


def _counted(pages: Iterator[ObjectsPage]) -> LogFilesPast:
    objects = size = archived = seen = 0
    with listing_bar() as show:
        for page in pages:
            objects += len(page.found)
            size += sum(each.size or 0 for each in page.found)
            archived += page.archived
            seen += page.seen
            show(seen, objects)
    return LogFilesPast(objects, size, archived)


def _listed_again(pages: Iterator[ObjectsPage]) -> Iterator[S3Object]:
    """Give the objects of pages. Raises AwsError: some log files may be shipped already."""
    while (page := call_boto(partial(next, pages, None))) is not None:
        yield from page.found


def _say(past: LogFilesPast) -> None:
    """Say on stderr what there is, what it costs to ship it, and what is left out."""
    if past.archived:
        count = count_text(past.archived, "log file")
        click.echo(f"{count} left out: S3 has archived them, so restore them first", err=True)
    if past.objects:
        cost = log_files_cost(past.objects, past.size)
        click.echo(
            f"{count_text(past.objects, 'log file')} of {size_text(past.size)}; "
            f"estimated: {dollars_text(cost.services)} for Lambda, S3 and the function's log, "
            f"{dollars_text(cost.transfer)} for data transfer if Loki is outside AWS",
            err=True,
        )


def _send(sending: Iterator[list[S3Object]], past: LogFilesPast, span: Span) -> int:
    """Send the notifications, and say after a stop how to go on; give their number."""
    sent = size = 0
    last: S3Object | None = None
    try:
        with object_bar(lambda: past.objects) as show:
            for some in sending:
                sent, last = sent + len(some), some[-1]
                size += sum(each.size or 0 for each in some)
                show(sent, size_text(size))
    except KeyboardInterrupt:
        raise InterruptedRunError(f"stopped: {_so_far(sent, last, span)}") from None
    except Exception:
        click.echo(_so_far(sent, last, span), err=True)
        raise
    return sent


def _so_far(sent: int, last: S3Object | None, span: Span) -> str:
    """Return what is done, and the command that does the rest."""
    if last is None:
        return f"no log file was sent; go on with: {command_for_rest(span.start, span.end)}"
    rest = command_for_rest(span.start, span.end, "--after", last.key)
    return f"{_sent(sent)}; go on with: {rest}"


def _sent(sent: int) -> str:
    count = count_text(sent, "log file")
    verb = "is" if sent == 1 else "are"
    return f"{count} {verb} in the queue or shipped: `loki-shipper status` shows what waits"


def _as_object(
    bucket: str, prefix: str, span: Span, past: LogFilesPast, sent: int
) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "prefix": prefix,
        "from": time_text(span.start),
        "until": time_text(span.end),
        "log_files": past.objects,
        "bytes": past.size,
        "archived": past.archived,
        "sent": sent,
    }
