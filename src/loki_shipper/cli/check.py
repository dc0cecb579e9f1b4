"""`loki-shipper check`: are settings and rules good, and what do the rules make of events."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

import click
from msgspec import Struct, to_builtins
from rich.console import Console
from rich.text import Text

from loki_shipper.cli.aws import aws_errors, open_session
from loki_shipper.cli.errors import InputError
from loki_shipper.cli.event_file import EventFile
from loki_shipper.cli.formatting import time_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.model import LogData
from loki_shipper.settings import NO_RULES, Settings, SettingsError, settings
from loki_shipper.shipper.rules.cache import FileUnreadable, RulesText
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.rules.parse import Rules, RulesError, default_rules
from loki_shipper.shipper.rules.parse import parse_rules as read_rules
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.sources.event import records
from loki_shipper.shipper.trace import RuleTrace, TracedLine, trace_rules

_NOWHERE = "http://not-pushed.invalid"
_NO_URL = "LOKI_URL is not set: a deployment needs it"
_TIME = 14
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROLS |= {ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"}


class FaultyError(click.ClickException):
    """Raised when settings or rules have faults."""

    exit_code = 1


class Checked(Struct, frozen=True):
    """What was found: of settings and rules their faults, of events what the rules make of them."""

    source: str
    has_url: bool
    settings_faults: list[str]
    rules_faults: list[str]
    rules: Rules
    trials: list[tuple[str, LogData, RuleTrace]]


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
    "--limit",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Lines to show of each event; 0 shows all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def check(rules: str | None, events: tuple[BinaryIO, ...], limit: int, *, as_json: bool) -> None:
    """Check the settings of the environment and the rules of a file, and try them.

    RULES is a file or s3://bucket/key; by default what the variable RULES names, else the rules
    that hold without it. Exits with 1 when settings or rules have faults.

    \b
    See what a rules file makes of a sample:
      loki-shipper check rules.toml --event lambda
    \b
    See what the rules make of a log file of yours:
      loki-shipper event --log-group /ecs/shop --from-file app.log |
        loki-shipper check rules.toml --event -
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    checked = _checked(rules, events)
    if as_json:
        if not checked.has_url:
            click.echo(_NO_URL, err=True)
        print_objects(_as_objects(checked))
    else:
        console = Console(highlight=False)
        for line in _show(checked, limit):
            if line.no_wrap is False:
                # A fault is to be read to its end.
                console.print(line, soft_wrap=True)
            else:
                console.print(line, no_wrap=True, overflow="ellipsis")
    if checked.settings_faults or checked.rules_faults:
        raise FaultyError("correct what is named above")


def _checked(reference: str | None, events: tuple[BinaryIO, ...]) -> Checked:
    faults: list[str] = []
    try:
        configured = settings({"LOKI_URL": _NOWHERE, **_set_variables()})
    except SettingsError as error:
        faults = [*error.faults]
        configured = settings({"LOKI_URL": _NOWHERE})
    named = reference or configured.rules
    rules_faults: list[str] = []
    rules = Rules()
    try:
        rules = _rules(named, is_given=reference is not None)
    except RulesError as error:
        rules_faults = [*error.faults]
    trials = (
        []
        if rules_faults
        else [tried for file in events for tried in _tried(file, rules, configured)]
    )
    return Checked(
        named or "the default", "LOKI_URL" in _set_variables(), faults, rules_faults, rules, trials
    )


def _set_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if value.strip()}


def _rules(reference: str | None, *, is_given: bool) -> Rules:
    if reference is None:
        return default_rules()
    if reference == NO_RULES:
        return Rules()
    with aws_errors():
        session = open_session() if reference.startswith("s3://") else None
        found = rules_file(reference, None, session)
    match found:
        case RulesText(text=text):
            return read_rules(text)
        case FileUnreadable(reason=reason) if is_given:
            raise InputError(f"{reference} cannot be read: {reason}{_remedy(reference)}")
        case FileUnreadable(reason=reason):
            raise RulesError([f"{reference} cannot be read: {reason}{_remedy(reference)}"])
        case _:
            return Rules()


def _remedy(reference: str) -> str:
    if not reference.startswith("s3://"):
        return ""
    return ": check the name, AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL"


def _tried(
    file: BinaryIO, rules: Rules, configured: Settings
) -> list[tuple[str, LogData, RuleTrace]]:
    name = getattr(file, "name", "<stdin>")
    try:
        payloads = records(json.loads(file.read()))
    except (ValueError, RecursionError):
        raise InputError(f"{name} is not JSON: name a file like those in events/") from None
    except UndecodableError as error:
        raise InputError(f"{name} is not an event of CloudWatch Logs: {error}") from None
    if not payloads:
        raise InputError(f"{name} carries no log events: name another")
    return [(name, data, trace_rules(data, rules, configured)) for data in payloads]


def _show(checked: Checked, limit: int) -> Iterator[Text]:
    good = "good" if checked.has_url else f"good, but {_NO_URL}"
    yield from _verdict("settings", checked.settings_faults, good)
    count = len({rule.name for rule in checked.rules.rules})
    good = f"{checked.source}: {count} {'rule' if count == 1 else 'rules'}, good"
    yield from _verdict("rules", checked.rules_faults, good)
    for name, groups, actions in _listed(checked.rules):
        yield Text(f"  {name:<16}  {actions:<16}  {', '.join(groups)}")
    for name, data, tried in checked.trials:
        yield Text()
        applied = ", ".join(tried.rules) or "none"
        yield Text.assemble((name, "bold"), f": {data.log_group}, rules {applied}")
        shown = tried.lines[:limit] if limit else tried.lines
        for line in shown:
            yield from _line(line)
        if len(shown) < len(tried.lines):
            yield Text(f"… and {len(tried.lines) - len(shown):,} more; --limit 0 shows all")
        yield Text(_sum(data, tried), style="bold")


def _verdict(title: str, faults: list[str], good: str) -> Iterator[Text]:
    if not faults:
        yield Text.assemble((f"{title:<10}", "dim"), good)
    for fault in faults:
        yield Text.assemble((f"{title:<10}", "dim"), (fault, "red"), no_wrap=False)


def _listed(rules: Rules) -> Iterator[tuple[str, tuple[str, ...], str]]:
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for rule in rules.rules:
        kind = type(rule.action).__name__.lower().replace("extract", "metadata")
        found.setdefault((rule.name, rule.groups), []).append(kind)
    for (name, groups), kinds in found.items():
        yield name, groups, ", ".join(dict.fromkeys(kinds))


def _line(line: TracedLine) -> Iterator[Text]:
    time = f"{datetime.fromtimestamp(line.timestamp / 1000, UTC):%H:%M:%S.%f}"[:-3]
    yield Text.assemble((f"{time:<{_TIME}}", "cyan"), line.before.translate(_CONTROLS))
    if not line.before:
        yield Text(" " * _TIME + "empty lines are left out", style="red")
    for effect in line.effects:
        what = f"{effect.rule}: {effect.what}".translate(_CONTROLS)
        yield Text(" " * _TIME + what, style="red" if line.after is None else "yellow")
    if line.after is not None and line.after != line.before:
        yield Text.assemble(" " * (_TIME - 2), "→ ", line.after.translate(_CONTROLS))


def _sum(data: LogData, tried: RuleTrace) -> str:
    result = tried.result
    dropped = ", ".join(f"{count:,} {name}" for name, count in sorted(result.dropped.items()))
    count = sum(result.dropped.values())
    kept = len(data.log_events) - count
    streams = len(result.streams)
    into = f"{streams} stream" if streams == 1 else f"{streams} streams"
    return f"kept {kept:,} in {into}, dropped {count:,}" + (f" ({dropped})" if dropped else "")


def _as_objects(checked: Checked) -> Iterator[dict[str, Any]]:
    yield {"kind": "settings", "faults": checked.settings_faults}
    yield {
        "kind": "rules",
        "source": checked.source,
        "faults": checked.rules_faults,
        "rules": [
            {"name": name, "groups": groups, "actions": actions.split(", ")}
            for name, groups, actions in _listed(checked.rules)
        ],
    }
    for name, data, tried in checked.trials:
        yield {
            "kind": "event",
            "event": name,
            "log_group": data.log_group,
            "rules": tried.rules,
            "lines": [_line_as_object(line) for line in tried.lines],
            "dropped": tried.result.dropped,
            "matched": tried.result.matched,
            "streams": [
                {"tenant": stream.tenant, "labels": dict(stream.labels), "entries": len(entries)}
                for stream, entries in tried.result.streams
            ],
        }


def _line_as_object(line: TracedLine) -> dict[str, Any]:
    return {
        "time": time_text(line.timestamp),
        "before": line.before,
        "after": line.after,
        "effects": to_builtins(line.effects),
    }
