"""`loki-shipper backfill`: ships the past of a log group."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click
from msgspec import to_builtins

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.backfill_log_files import LogFilesRequest, backfill_log_files
from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.confirm import yes_option
from loki_shipper.cli.deployment import (
    Deployment,
    current_clock,
    deployment_options,
    open_deployment,
)
from loki_shipper.cli.errors import InputError, InterruptedRunError, NotDeliveredError
from loki_shipper.cli.formatting import count_text, time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.log_groups import log_group_named
from loki_shipper.cli.object_name import SCHEME
from loki_shipper.cli.parameter_types import AGE, Time
from loki_shipper.cli.past_span import check_span, command_for_rest, too_old, young_enough
from loki_shipper.cli.progress import time_bar
from loki_shipper.model import LogData
from loki_shipper.subscriber.first_lines.backfill import Progress, Span
from loki_shipper.subscriber.first_lines.backfill import backfill as steps
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup, ShipLogData, rate_limited
from loki_shipper.subscriber.groups.select import filter_pattern
from loki_shipper.subscriber.memory import OLDEST_DAYS, remembered_state
from loki_shipper.subscriber.model import EFFECTIVE_MS, LogGroup
from loki_shipper.subscriber.run.dependencies import read_memory

_MS = timedelta(milliseconds=1)


@click.command()
@click.argument("group", shell_complete=complete_log_groups)
@click.option("--since", type=AGE, metavar="AGE", help="Age of the oldest line, such as 12h or 2d.")
@click.option("--from", "start", type=Time(), help="Start of the past, in place of --since.")
@click.option(
    "--until",
    "end",
    type=Time(),
    help="End of the past.  [default: when the log group or bucket was linked, else now]",
)
@click.option(
    "--max-age",
    type=AGE,
    metavar="AGE",
    default=f"{OLDEST_DAYS}d",
    show_default=True,
    help="Age of the oldest line that your Loki takes.",
)
@click.option(
    "--after",
    default="",
    metavar="KEY",
    help="Key of the last object that is done, to go on with s3://….",
)
@deployment_options
@click.option("--dry-run", is_flag=True, help="Only count the lines, or the log files.")
@yes_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def backfill(  # noqa: PLR0913 - each is an option
    *,
    group: str,
    since: timedelta | None,
    start: int | None,
    end: int | None,
    max_age: timedelta,
    after: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Ship the past of GROUP to Loki, through the stack's own function.

    GROUP is a log group, or s3://BUCKET/PREFIX for the log files there. The times of log files are
    those at which they were written, and the end is when the bucket was linked. The command sends a
    message about each one to the queue from which the function reads log files. It keeps at most
    200 of them there, so that new log files do not wait for long.

    The log group's filter pattern chooses the lines. The command ships at most a megabyte a second,
    and leaves out lines that are too old for your Loki. Lines that are older than 45 minutes get
    the label `late`. Lines that Loki already has without this label are then in Loki twice.

    You can stop the command at any time. It then prints the command that goes on.

    \b
    Ship the last two days from before the log group was linked:
      loki-shipper backfill /aws/lambda/checkout --since 2d
    \b
    Ship the log files of two days:
      loki-shipper backfill s3://my-logs/AWSLogs/ --since 2d
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if (since is None) is (start is None):
        raise click.UsageError("give the start: --since 2d, or --from TIME")
    with open_deployment(**which) as deployment:
        now = current_clock().now()
        begin = start if start is not None else now - (since or timedelta()) // _MS
        if group.startswith(SCHEME):
            request = LogFilesRequest(
                group,
                begin,
                end,
                now - max_age // _MS,
                after,
                is_time=start is not None,
                dry_run=dry_run,
                yes=yes,
                as_json=as_json,
            )
            backfill_log_files(request, deployment)
            return
        known = log_group_named(group, deployment)
        group = known.name
        check_span(begin, end, now, is_time=start is not None)
        wanted = Span(begin, _end(deployment, known, now) if end is None else min(end, now))
        span = young_enough(wanted, oldest=now - max_age // _MS)
        if span.start >= span.end:
            raise InputError(f"nothing to ship: {_why_empty(group, wanted, span, end)}")
        progress = _run(deployment, known, span, dry_run=dry_run)
    if as_json:
        print_objects([_as_object(group, span.start, progress)])
    else:
        click.echo(f"{progress.lines:,} lines to ship" if dry_run else _counts(progress))
        if deployment.is_member and not dry_run:
            click.echo("They are in the hub's bucket. Its redriver sends them to Loki.")
    if faults := "; ".join(_faults(progress)):
        raise NotDeliveredError(faults)


def _end(deployment: Deployment, group: LogGroup, now: int) -> int:
    """Return when the filter began to deliver the log group's lines, or now if there is none."""
    known = remembered_state(read_memory(deployment.deps), group)
    times = [] if known is None or known.since is None else [known.since]
    if deployment.deps.settings.link_mode == "groups":
        ours = deployment.deps.aws.filters(group.name).ours
        # Somebody may have deleted the filter that the memory knows.
        times = [] if ours is None else [*times, ours.since]
    return min([now, *(time + EFFECTIVE_MS for time in times)])


def _why_empty(group: str, wanted: Span, span: Span, end: int | None) -> str:
    if wanted.start < wanted.end:
        return too_old(span)
    assert end is None
    return (
        f"{group} is linked, and its filter delivers the lines since {time_text(wanted.end)}; "
        "--until ships some of them again"
    )


def _run(deployment: Deployment, group: LogGroup, span: Span, *, dry_run: bool) -> Progress:
    deps = deployment.deps
    settings = deps.settings
    pattern = filter_pattern(group, settings)
    ship: ShipLogData = (lambda _: {}) if dry_run else _ship(deployment)
    progress = Progress(span.start)
    try:
        with time_bar(span.start, span.end, deps.clock.now) as bar:

            def ship_and_show(data: LogData) -> dict[str, Any]:
                report = ship(data)
                bar.add(len(data.log_events))
                return report

            running = steps(
                span,
                FilteredGroup(settings.origin.account, group.name, settings.filter_name),
                read=lambda start, end: deps.aws.events(
                    group.name, start=start, end=end, pattern=pattern
                ),
                ship=ship_and_show,
            )
            for progress in running:
                bar.reach(progress.until)
    except KeyboardInterrupt:
        raise InterruptedRunError(f"stopped: {_so_far(progress, span, dry_run=dry_run)}") from None
    except Exception:
        click.echo(_so_far(progress, span, dry_run=dry_run), err=True)
        raise
    return progress


def _so_far(progress: Progress, span: Span, *, dry_run: bool) -> str:
    """Return what is done, and the command that does the rest."""
    rest = f"go on with: {command_for_rest(progress.until, span.end)}"
    if progress.until == span.start:
        return f"no half hour is complete; {rest}"
    counts = f"{count_text(progress.lines, 'line')} to ship" if dry_run else _counts(progress)
    return f"up to {time_text(progress.until)}: {counts}; {rest}"


def _ship(deployment: Deployment) -> ShipLogData:
    def invoke(event: dict[str, Any]) -> dict[str, Any]:
        try:
            return deployment.deps.aws.ship(event)
        except AwsError as error:
            # Lambda keeps the event of a failed invocation only if the invocation was asynchronous.
            if error.kind not in {"refused", "denied"}:
                raise
            raise NotDeliveredError(
                f"the shipper failed ({error.code}: {error}), and its last lines are not in the "
                "bucket: remove the cause, then go on with the command above"
            ) from None

    return rate_limited(invoke, deployment.deps.clock)


def _as_object(group: str, start: int, progress: Progress) -> dict[str, Any]:
    counts = to_builtins(progress)
    until = counts.pop("until")
    return {"log_group": group, "from": time_text(start), "until": time_text(until), **counts}


def _counts(progress: Progress) -> str:
    shipped = f"{progress.delivered:,} lines shipped, {progress.late:,} of them late"
    dropped = f"; rules dropped {count_text(progress.dropped, 'line')}" if progress.dropped else ""
    return shipped + dropped


def _faults(progress: Progress) -> Iterator[str]:
    if progress.rejected:
        yield f"Loki refused {progress.rejected:,} lines: they are in the bucket, under rejected/"
    if progress.deferred:
        verb = "waits" if progress.deferred == 1 else "wait"
        lines = count_text(progress.deferred, "line")
        yield (
            f"{lines} {verb} in the bucket, under failed/ or later/, until the tenant is known or "
            "the time has come"
        )
    if progress.errored:
        yield (
            f"{progress.errored:,} lines could not be delivered: they are in the bucket, under "
            "failed/, and the redriver ships them"
        )
