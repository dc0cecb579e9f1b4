"""`loki-shipper check`: checks settings and rules, and tries the rules on events."""

import json
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import click
from msgspec import Struct, to_builtins
from rich.console import Console
from rich.text import Text

from loki_shipper.cli.aws import aws_errors, open_session
from loki_shipper.cli.errors import InputError
from loki_shipper.cli.event_file import EventFile
from loki_shipper.cli.event_payloads import event_payloads
from loki_shipper.cli.formatting import clock_text, control_escapes, count_text, time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.environment import SettingsError
from loki_shipper.formats import NO_RULES
from loki_shipper.settings import Settings, settings
from loki_shipper.shipper.entries.transform import Transformed
from loki_shipper.shipper.rules.cache import FileUnreadable, RulesText
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.rules.model import Rules, RulesError
from loki_shipper.shipper.rules.parse import default_rules, parse_rules
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.trace import RuleTrace, TracedLine, trace_rules

_PLACEHOLDER_URL = "http://not-pushed.invalid"
_NO_URL = "LOKI_URL is not set: a deployment needs it"
_TIME_WIDTH = 14
# A trace has one row for each line, so a tab is escaped too.
_ESCAPES = control_escapes("\\n") | {ord("\t"): "\\t"}


class FaultyError(click.ClickException):
    """Raised when settings or rules have faults."""

    exit_code = 1


class CheckReport(Struct, frozen=True):
    """The faults of settings and rules, and what the rules do to the payloads of event files."""

    source: str
    has_url: bool
    settings_faults: tuple[str, ...]
    rules_faults: tuple[str, ...]
    rules: Rules
    traces: list[tuple[str, RuleTrace]]


class ListedRule(Struct, frozen=True):
    """The rules of one name and the same log groups, with the kinds of their actions."""

    name: str
    groups: tuple[str, ...]
    actions: list[str]


@click.command()
@click.argument("rules", required=False)
@click.option(
    "--event",
    "events",
    type=EventFile(),
    multiple=True,
    metavar="EVENT",
    help="Try the rules on this file or sample, such as lambda; repeat it; - reads stdin.",
)
@click.option(
    "--object",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="File that stands for the object in S3 that the event names.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Lines to show of each event; 0 shows all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def check(
    *,
    rules: str | None,
    events: tuple[BinaryIO, ...],
    file: BinaryIO | None,
    limit: int,
    as_json: bool,
) -> None:
    """Check the settings of the environment and the rules of a file, and try them.

    RULES is a file or s3://bucket/key. By default it is the variable RULES, or the default rules.
    The exit code is 1 if settings or rules have faults.

    \b
    See what a rules file does to a sample:
      loki-shipper check rules.toml --event lambda
    \b
    See what the rules do to your own log file:
      loki-shipper event --log-group /ecs/shop --from-file app.log |
        loki-shipper check rules.toml --event -
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    report = _check(rules, events, file)
    if as_json:
        if not report.has_url:
            click.echo(_NO_URL, err=True)
        print_objects(_as_objects(report))
    else:
        _print(report, limit)
    if report.settings_faults or report.rules_faults:
        raise FaultyError("correct the faults above")


def _check(
    reference: str | None, events: tuple[BinaryIO, ...], log_file: BinaryIO | None
) -> CheckReport:
    variables = {name: value for name, value in os.environ.items() if value.strip()}
    settings_faults: tuple[str, ...] = ()
    try:
        configured = settings({"LOKI_URL": _PLACEHOLDER_URL, **variables})
    except SettingsError as error:
        settings_faults = error.faults
        configured = settings({"LOKI_URL": _PLACEHOLDER_URL})
    named = reference or configured.rules
    rules_faults: tuple[str, ...] = ()
    rules = Rules()
    try:
        rules = _rules(named, is_argument=reference is not None)
    except RulesError as error:
        rules_faults = error.faults
    return CheckReport(
        source=named or "the default",
        has_url="LOKI_URL" in variables,
        settings_faults=settings_faults,
        rules_faults=rules_faults,
        rules=rules,
        traces=[]
        if rules_faults
        else [trace for file in events for trace in _traces(file, log_file, rules, configured)],
    )


def _rules(reference: str | None, *, is_argument: bool) -> Rules:
    if reference is None:
        return default_rules()
    if reference == NO_RULES:
        return Rules()
    with aws_errors():
        session = open_session() if reference.startswith("s3://") else None
        found = rules_file(reference, None, session)
    match found:
        case RulesText(text=text):
            return parse_rules(text)
        case FileUnreadable(reason=reason) if is_argument:
            raise InputError(f"{reference} cannot be read: {reason}{_remedy(reference)}")
        case FileUnreadable(reason=reason):
            raise RulesError([f"{reference} cannot be read: {reason}{_remedy(reference)}"])
        case _:
            return Rules()


def _remedy(reference: str) -> str:
    if not reference.startswith("s3://"):
        return ""
    return ": check the name, AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL"


def _traces(
    file: BinaryIO, log_file: BinaryIO | None, rules: Rules, configured: Settings
) -> list[tuple[str, RuleTrace]]:
    name = getattr(file, "name", "<stdin>")
    try:
        payloads = event_payloads(json.loads(file.read()), log_file)
    except (ValueError, RecursionError):
        raise InputError(f"{name} is not JSON: name a file like those in events/") from None
    except UndecodableError as error:
        raise InputError(f"{name} is not an event of CloudWatch Logs: {error}") from None
    if not payloads:
        raise InputError(f"{name} carries no log events: name another")
    return [(name, trace_rules(data, rules, configured)) for data in payloads]


def _print(report: CheckReport, limit: int) -> None:
    console = Console(highlight=False)
    for line in _show(report, limit):
        if line.no_wrap is False:
            # A fault wraps, so that nothing of it is cut.
            console.print(line, soft_wrap=True)
        else:
            console.print(line, no_wrap=True, overflow="ellipsis")


def _show(report: CheckReport, limit: int) -> Iterator[Text]:
    good = "good" if report.has_url else f"good, but {_NO_URL}"
    yield from _verdict("settings", report.settings_faults, good)
    count = len({rule.name for rule in report.rules.rules})
    good = f"{report.source}: {count} {'rule' if count == 1 else 'rules'}, good"
    yield from _verdict("rules", report.rules_faults, good)
    if report.rules.first_preset_only:
        yield Text("  a log group has the first one that names it", style="dim")
    listed = _listed(report.rules)
    width = max([16, *(len(rule.name) for rule in listed)])
    for rule in listed:
        actions, groups = ", ".join(rule.actions), ", ".join(rule.groups)
        yield Text(f"  {rule.name:<{width}}  {actions:<19}  {groups}")
    for file, trace in report.traces:
        yield Text()
        applied = ", ".join(trace.rules) or "none"
        yield Text.assemble((file, "bold"), f": {trace.log_group}, rules {applied}")
        yield from _show_trace(trace, limit)


def _show_trace(trace: RuleTrace, limit: int) -> Iterator[Text]:
    shown = trace.lines[:limit] if limit else trace.lines
    for line in shown:
        yield from _line(line)
    if len(shown) < len(trace.lines):
        yield Text(f"… and {len(trace.lines) - len(shown):,} more; --limit 0 shows all")
    yield Text(_summary(trace), style="bold")


def _verdict(title: str, faults: tuple[str, ...], good: str) -> Iterator[Text]:
    if not faults:
        yield Text.assemble((f"{title:<10}", "dim"), good)
    for fault in faults:
        yield Text.assemble((f"{title:<10}", "dim"), (fault, "red"), no_wrap=False)


def _listed(rules: Rules) -> list[ListedRule]:
    actions: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for rule in rules.rules:
        actions.setdefault((rule.name, rule.groups), {})[rule.action.kind] = None
    return [ListedRule(name, groups, [*kinds]) for (name, groups), kinds in actions.items()]


def _line(line: TracedLine) -> Iterator[Text]:
    yield Text.assemble(
        (f"{clock_text(line.timestamp):<{_TIME_WIDTH}}", "cyan"), line.before.translate(_ESCAPES)
    )
    if not line.before:
        yield Text(" " * _TIME_WIDTH + "empty lines are dropped", style="red")
    for effect in line.effects:
        what = f"{effect.rule}: {effect.what}".translate(_ESCAPES)
        yield Text(" " * _TIME_WIDTH + what, style="red" if line.after is None else "yellow")
    if line.after is not None and line.after != line.before:
        yield Text.assemble(" " * (_TIME_WIDTH - 2), "→ ", line.after.translate(_ESCAPES))


def _summary(trace: RuleTrace) -> str:
    result = trace.result
    rejected = _rejected(result)
    kept = len(trace.lines) - sum(result.dropped.values()) - sum(rejected.values())
    streams = count_text(len(result.streams), "stream")
    summary = f"kept {kept:,} in {streams}, dropped {_counted(result.dropped)}"
    return summary + (f", rejected {_counted(rejected)}" if rejected else "")


def _counted(counts: dict[str, int]) -> str:
    reasons = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
    return f"{sum(counts.values()):,}" + (f" ({reasons})" if reasons else "")


def _rejected(result: Transformed) -> dict[str, int]:
    return {reason: len(entries) for reason, entries in result.rejected.items()}


def _as_objects(report: CheckReport) -> Iterator[dict[str, Any]]:
    yield {"kind": "settings", "faults": report.settings_faults}
    yield {
        "kind": "rules",
        "source": report.source,
        "faults": report.rules_faults,
        "rules": to_builtins(_listed(report.rules)),
    }
    for file, trace in report.traces:
        result = trace.result
        yield {
            "kind": "event",
            "event": file,
            "log_group": trace.log_group,
            "rules": trace.rules,
            "lines": [_line_as_object(line) for line in trace.lines],
            "dropped": result.dropped,
            "rejected": _rejected(result),
            "matched": result.matched,
            "streams": [
                {"tenant": stream.tenant, "labels": dict(stream.labels), "entries": len(entries)}
                for stream, entries in result.streams
            ],
        }


def _line_as_object(line: TracedLine) -> dict[str, Any]:
    return {
        "time": time_text(line.timestamp),
        "before": line.before,
        "after": line.after,
        "effects": to_builtins(line.effects),
    }
