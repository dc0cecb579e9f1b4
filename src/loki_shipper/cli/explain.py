"""`loki-shipper explain`: explains why a log group is linked, and why it has its labels."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, BinaryIO, assert_never

import click
from msgspec import Struct, to_builtins
from msgspec.structs import replace
from rich.text import Text

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.compare_lines import LabelInputs
from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.console import line_console
from loki_shipper.cli.decision_rows import decision_object, decision_text
from loki_shipper.cli.deployed_rules import deployed_rules
from loki_shipper.cli.deployment import Deployment, deployment_options, open_deployment
from loki_shipper.cli.errors import InputError, did_you_mean, settings_errors
from loki_shipper.cli.event_file import EventFile
from loki_shipper.cli.event_payloads import event_payloads
from loki_shipper.cli.explain_log_file import explain_log_file
from loki_shipper.cli.explain_log_file_output import log_file_lines, log_file_object
from loki_shipper.cli.forecast_output import forecast_lines
from loki_shipper.cli.formatting import NS_PER_MS
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.label_decisions import (
    Explained,
    changes,
    explained,
    log_group_data,
)
from loki_shipper.cli.link_output import filter_text
from loki_shipper.cli.log_file_context import (
    deployed_context,
    local_context,
    local_region,
    object_chunks,
    open_stored,
)
from loki_shipper.cli.log_groups import log_group_named
from loki_shipper.cli.object_name import SCHEME, object_name
from loki_shipper.cli.parameter_types import TAG, KeyValue
from loki_shipper.cli.predict_streams import StreamForecast, predict_streams, read_sample
from loki_shipper.model import LogData, S3Object, log_source
from loki_shipper.settings import Settings, settings, variables
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup
from loki_shipper.subscriber.groups.select import (
    Covered,
    NotSelected,
    Selected,
    SelectionVerdict,
    filter_pattern,
    select,
)
from loki_shipper.subscriber.model import Filters, LogGroup, Reason
from loki_shipper.subscriber.run.dependencies import read_memory
from loki_shipper.subscriber.run.reconcile import current_selection

_NOT_PUSHED = "http://not-pushed.invalid"
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS


class _LogGroupFacts(Struct, frozen=True):
    """The facts about a log group that explain its labels.

    `linking` says whether and why it is linked, and is None for an event. `streams` is None if
    they are not predicted.
    """

    data: LogData
    tags: Mapping[str, str]
    region: str
    environ: Mapping[str, str]
    linking: str | None
    streams: StreamForecast | None = None


@click.command()
@click.argument("group", required=False, shell_complete=complete_log_groups)
@deployment_options
@click.option(
    "--event",
    type=EventFile(),
    metavar="EVENT",
    help="Explain the log group of this event, without AWS.",
)
@click.option(
    "--object",
    "file",
    type=click.File("rb"),
    metavar="FILE",
    help="File that stands for the object, without AWS.",
)
@click.option(
    "--tag",
    "tags",
    type=TAG,
    multiple=True,
    help="Explain it as if the log group or bucket had this tag too; repeat it.",
)
@click.option(
    "--diff",
    type=KeyValue("setting", "NAME=VALUE"),
    multiple=True,
    help="Show what this setting would change before it is deployed; repeat it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def explain(  # noqa: PLR0913 - each is an option
    *,
    group: str | None,
    event: BinaryIO | None,
    file: BinaryIO | None,
    tags: tuple[tuple[str, str], ...],
    diff: tuple[tuple[str, str], ...],
    as_json: bool,
    **which: Any,
) -> None:
    """Explain a log GROUP: why it is linked or not, and what became of each of its tags.

    GROUP may also be s3://BUCKET/KEY. The command then explains the log file: which type it has and
    why, its labels, and the times and the structured metadata of its first lines.

    The command also counts the streams that the lines of the last hour make, at most some 10,000
    lines, and predicts those of a day.

    With --event the command calls no AWS API. It then explains the log group of the event, with the
    tags that --tag gives and the settings of the environment.

    \b
    Why does this log group have these labels?
      loki-shipper explain /aws/lambda/checkout
    \b
    Which labels would change if only two tags became labels?
      loki-shipper explain /aws/lambda/checkout --diff TAG_LABELS=team,env
    \b
    The same without AWS:
      loki-shipper explain --event lambda --tag team=payments
    \b
    What would this file be in S3?
      loki-shipper explain --object app.log
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if file is not None and group is None and event is None:
        group = f"{SCHEME}my-logs/{PurePath(file.name).name}"
    if (group is None) is (event is None):
        raise click.UsageError("name a log group, or give --event")
    if group is not None and group.startswith(SCHEME):
        _explain_object(group, file, dict(tags), dict(diff), as_json=as_json, **which)
        return
    if file is not None:
        raise click.UsageError("--object is for s3://BUCKET/KEY")
    if event is not None:
        groups = _of_event(event, dict(tags))
    else:
        with open_deployment(**which) as deployment:
            groups = [_of_group(deployment, str(group), dict(tags))]
    decisions = [
        (known, _explained(known, {}), _explained(known, dict(diff)) if diff else None)
        for known in groups
    ]
    if as_json:
        print_objects([_as_object(*each) for each in decisions])
        return
    console = line_console()
    for known, now, then in decisions:
        for line in _diff(now, then) if then is not None else _lines(known, now):
            console.print(line)


def _explain_object(
    name: str,
    file: BinaryIO | None,
    tags: dict[str, str],
    diff: dict[str, str],
    *,
    as_json: bool,
    **which: Any,
) -> None:
    bucket, key = object_name(name)
    if file is not None:
        context = local_context(os.environ, tags, which["region"])
        found = S3Object(bucket, key, written=time.time_ns() // NS_PER_MS)
        explanation = explain_log_file(found, object_chunks(file), context)
    else:
        with open_deployment(**which) as deployment:
            context = deployed_context(deployment, tags)
            found, chunks = open_stored(deployment.client("s3"), bucket, key)
            explanation = explain_log_file(found, chunks, context)
    now = then = None
    if (data := explanation.data) is not None:
        known = _LogGroupFacts(data, explanation.tags, context.region, context.environ, None)
        now, then = _explained(known, {}), _explained(known, diff) if diff else None
    if as_json:
        print_objects([log_file_object(explanation, now, then)])
        return
    console = line_console()
    for line in _diff(now, then) if now and then else log_file_lines(explanation, now):
        console.print(line)


def _of_event(file: BinaryIO, tags: dict[str, str]) -> list[_LogGroupFacts]:
    """Return the facts of each log group of an event, in their order. Raises InputError."""
    try:
        payloads = event_payloads(json.loads(file.read()))
    except (UndecodableError, ValueError) as error:
        raise InputError(f"--event is not an event of CloudWatch Logs: {error}") from None
    if not payloads:
        raise InputError("--event is a control message, which has no log group: name another")
    region = local_region(os.environ)
    groups = {log_source(data, region): data for data in reversed(payloads)}
    return [
        _LogGroupFacts(data, tags, region, os.environ, None) for data in reversed(groups.values())
    ]


def _of_group(deployment: Deployment, name: str, tags: Mapping[str, str]) -> _LogGroupFacts:
    deps = deployment.deps
    group = log_group_named(name, deployment)
    # --tag shows what more tags would do.
    group = replace(group, tags={**group.tags, **tags})
    origin = deps.settings.origin
    environ = deployment.shipper.environ
    data = log_group_data(origin.account, group.name)
    linking = _linking(deployment, group)
    return _LogGroupFacts(
        data, group.tags, origin.region, environ, linking, _forecast(deployment, group)
    )


def _forecast(deployment: Deployment, group: LogGroup) -> StreamForecast | None:
    """Predict the streams of a log group, or say on stderr why that is not possible."""
    deps = deployment.deps
    origin, now = deps.settings.origin, deps.clock.now()
    start = max(now - _HOUR_MS, min(group.created, now - _MINUTE_MS))
    inputs = LabelInputs(
        _settings(deployment.shipper.environ), origin.account, origin.region, group.tags
    )
    pattern = filter_pattern(group, deps.settings)
    try:
        rules = deployed_rules(inputs.settings, deployment.session)
        sample = read_sample(deployment.client("logs"), group.name, pattern, start, now)
    except (AwsError, InputError) as error:
        click.echo(f"the streams of a day are not predicted: {error}", err=True)
        return None
    return predict_streams(sample, FilteredGroup(origin.account, group.name, ""), inputs, rules)


def _linking(deployment: Deployment, group: LogGroup) -> str:
    deps = deployment.deps
    filters = deps.aws.filters(group.name)
    verdict = select(group, current_selection(deps.settings, read_memory(deps)))
    unwanted = _unwanted(verdict)
    return (
        f"{_filter(filters)}; {_next(filters, unwanted, sweeps=deployment.sweeps)}"
        f"{_source(filters, verdict)}"
    )


def _source(filters: Filters, verdict: SelectionVerdict) -> str:
    fields = () if filters.ours is None else filters.ours.system_fields
    if isinstance(verdict, Selected):
        fields = fields or verdict.system_fields
    return "; a line that names its source has the labels of the source" if fields else ""


def _unwanted(verdict: SelectionVerdict) -> str | None:
    """Return why a log group needs no filter of its own, or None if it needs one."""
    match verdict:
        case Selected():
            return None
        case Covered():
            return Reason.ACCOUNT_POLICY.words
        case NotSelected(reason=reason):
            return reason.words
        case _:
            assert_never(verdict)


def _filter(filters: Filters) -> str:
    others = f", beside {', '.join(filters.foreign)}" if filters.foreign else ""
    if filters.ours is None:
        return f"not linked{others}"
    since = datetime.fromtimestamp(filters.ours.since / 1000, UTC)
    options = filter_text(filters.ours.pattern, filters.ours.system_fields)
    return f"linked since {since:%Y-%m-%d %H:%M}{options}{others}"


def _next(filters: Filters, unwanted: str | None, *, sweeps: bool) -> str:
    if unwanted is not None:
        verb = "to be unlinked" if filters.ours is not None else "left alone"
        return f"{verb}: {unwanted}"
    if filters.ours is not None:
        return "as the selection wants it"
    return "the next sweep links it" if sweeps else "`loki-shipper link` links it"


def _explained(known: _LogGroupFacts, overrides: dict[str, str]) -> Explained:
    for name in sorted(overrides.keys() - variables().keys()):
        raise InputError(f"there is no setting {name}{did_you_mean(name.upper(), variables())}")
    configured = _settings({**known.environ, **overrides})
    return explained(known.data, known.tags, region=known.region, settings=configured)


def _settings(environ: Mapping[str, str]) -> Settings:
    with settings_errors("the settings"):
        # The settings require LOKI_URL, which does not change labels.
        return settings({**environ, "LOKI_URL": _NOT_PUSHED})


def _lines(known: _LogGroupFacts, now: Explained) -> Iterator[Text]:
    yield Text(known.data.log_group, style="bold")
    if known.linking is not None:
        yield Text(known.linking)
    for row in now.rows:
        yield decision_text(row)
    if now.tenant is not None:
        yield Text(f"tenant    {now.tenant}")
    if known.streams is not None:
        yield from forecast_lines(known.streams)


def _diff(now: Explained, then: Explained) -> Iterator[Text]:
    changed = list(changes(now, then))
    for change in changed:
        if change.before is not None:
            yield Text(f"- {change.name}={json.dumps(change.before)}", style="red")
        if change.after is not None:
            yield Text(f"+ {change.name}={json.dumps(change.after)}", style="green")
    yield Text("new lines go to another stream" if changed else "no label changes")


def _as_object(known: _LogGroupFacts, now: Explained, then: Explained | None) -> dict[str, Any]:
    return {
        "log_group": known.data.log_group,
        "linking": known.linking,
        "tenant": now.tenant,
        "labels": dict(now.labels),
        "metadata": dict(now.metadata),
        "rows": [decision_object(row) for row in now.rows],
        "changes": None if then is None else to_builtins(list(changes(now, then))),
        "streams": to_builtins(known.streams),
    }
