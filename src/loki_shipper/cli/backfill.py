"""`loki-shipper backfill`: ships the past of a log group."""

import shlex
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click
from click.core import ParameterSource
from msgspec import to_builtins

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.deployment import Deployment, deployment_options, open_deployment
from loki_shipper.cli.errors import InputError, InterruptedRunError, NotDeliveredError
from loki_shipper.cli.formatting import count_text, time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.log_groups import log_group_named
from loki_shipper.cli.parameter_types import AGE, Time
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
_GIVEN = ParameterSource.COMMANDLINE
_SPAN_OPTIONS = {"group", "since", "start", "end"}


@click.command()
@click.argument("group", shell_complete=complete_log_groups)
@click.option("--since", type=AGE, metavar="AGE", help="Age of the oldest line, such as 12h or 2d.")
@click.option("--from", "start", type=Time(), help="Start of the past, in place of --since.")
@click.option(
    "--until",
    "end",
    type=Time(),
    help="End of the past.  [default: when the log group was linked, else now]",
)
@click.option(
    "--max-age",
    type=AGE,
    metavar="AGE",
    default=f"{OLDEST_DAYS}d",
    show_default=True,
    help="Age of the oldest line that your Loki takes.",
)
@deployment_options
@click.option("--dry-run", is_flag=True, help="Only count the lines.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def backfill(  # noqa: PLR0913 - each is an option
    *,
    group: str,
    since: timedelta | None,
    start: int | None,
    end: int | None,
    max_age: timedelta,
    dry_run: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """Ship the past of GROUP to Loki, through the stack's own function.

    The log group's filter pattern chooses the lines. The command ships at most a megabyte a second,
    and leaves out lines that are too old for your Loki. Lines that are older than 45 minutes get
    the label `late`. Lines that Loki already has without this label are then in Loki twice.

    You can stop the command at any time. It then prints the command that goes on.

    \b
    Ship the last two days from before the log group was linked:
      loki-shipper backfill /aws/lambda/checkout --since 2d
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if (since is None) is (start is None):
        raise click.UsageError("give the start: --since 2d, or --from TIME")
    with open_deployment(**which) as deployment:
        now = deployment.deps.clock.now()
        known = log_group_named(group, deployment)
        group = known.name
        begin = start if start is not None else now - (since or timedelta()) // _MS
        _check(begin, end, now, is_time=start is not None)
        wanted = Span(begin, _end(deployment, known, now) if end is None else min(end, now))
        span = _young_enough(wanted, oldest=now - max_age // _MS)
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


def _check(begin: int, end: int | None, now: int, *, is_time: bool) -> None:
    """Refuse a span of time that is empty or in the future. Raises UsageError."""
    option = f"--from {time_text(begin)}" if is_time else f"--since, which is {time_text(begin)},"
    if begin > now:
        raise click.UsageError(f"{option} is in the future: it is {time_text(now)} now")
    if end is not None and begin >= end:
        raise click.UsageError(f"{option} is not before --until {time_text(end)}")


def _why_empty(group: str, wanted: Span, span: Span, end: int | None) -> str:
    if wanted.start < wanted.end:
        oldest = time_text(span.start)
        return f"all of it is older than --max-age, which is {oldest}, so Loki would refuse it"
    assert end is None
    return (
        f"{group} is linked, and its filter delivers the lines since {time_text(wanted.end)}; "
        "--until ships some of them again"
    )


def _young_enough(wanted: Span, oldest: int) -> Span:
    """Leave out the time that is too old for Loki, and say so on stderr."""
    if wanted.start < oldest:
        begins = time_text(oldest)
        click.echo(
            f"Loki would refuse lines older than --max-age, so this begins at {begins}", err=True
        )
    return Span(max(wanted.start, oldest), wanted.end)


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
    rest = f"go on with: {_rest(progress.until, span)}"
    if progress.until == span.start:
        return f"no half hour is complete; {rest}"
    counts = f"{count_text(progress.lines, 'line')} to ship" if dry_run else _counts(progress)
    return f"up to {time_text(progress.until)}: {counts}; {rest}"


def _rest(begin: int, span: Span) -> str:
    """Return the command that goes on, with the options that you gave."""
    context = click.get_current_context()
    words = ["loki-shipper", "backfill", context.params["group"]]
    words += ["--from", time_text(begin), "--until", time_text(span.end)]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        is_given = context.get_parameter_source(parameter.name or "") is _GIVEN
        match value:
            case _ if not is_given or parameter.name in _SPAN_OPTIONS:
                pass
            case True:
                words.append(parameter.opts[-1])
            case timedelta():
                words += [parameter.opts[-1], _age_text(value)]
            case _:
                words += [parameter.opts[-1], str(value)]
    return shlex.join(words)


def _age_text(age: timedelta) -> str:
    """Format an age as the type `AGE` parses it."""
    for name, unit in (("d", timedelta(days=1)), ("h", timedelta(hours=1))):
        if not age % unit:
            return f"{age // unit}{name}"
    return f"{age // timedelta(minutes=1)}m"


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
