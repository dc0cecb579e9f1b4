"""The span of time of `backfill`, and the command that goes on after it was stopped."""

import shlex
from datetime import timedelta

import click
from click.core import ParameterSource

from loki_shipper.cli.formatting import time_text
from loki_shipper.subscriber.first_lines.backfill import Span

_GIVEN = ParameterSource.COMMANDLINE
_SPAN_OPTIONS = {"group", "since", "start", "end", "after"}


def check_span(begin: int, end: int | None, now: int, *, is_time: bool) -> None:
    """Refuse a span of time that is empty or in the future. Raises UsageError."""
    option = f"--from {time_text(begin)}" if is_time else f"--since, which is {time_text(begin)},"
    if begin > now:
        raise click.UsageError(f"{option} is in the future: it is {time_text(now)} now")
    if end is not None and begin >= end:
        raise click.UsageError(f"{option} is not before --until {time_text(end)}")


def young_enough(wanted: Span, oldest: int) -> Span:
    """Leave out the time that is too old for Loki, and say so on stderr."""
    if wanted.start < oldest:
        begins = time_text(oldest)
        click.echo(
            f"Loki would refuse lines older than --max-age, so this begins at {begins}", err=True
        )
    return Span(max(wanted.start, oldest), wanted.end)


def too_old(span: Span) -> str:
    """Say that nothing is young enough; `span` begins with what would be."""
    oldest = time_text(span.start)
    return f"all of it is older than --max-age, which is {oldest}, so Loki would refuse it"


def command_for_rest(begin: int, end: int, *more: str) -> str:
    """Return the command that goes on, with the options that you gave, and `more` of them."""
    context = click.get_current_context()
    words = ["loki-shipper", "backfill", context.params["group"]]
    words += ["--from", time_text(begin), "--until", time_text(end), *more]
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
