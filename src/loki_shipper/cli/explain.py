"""`loki-shipper explain`: a log group's filter and labels, and why they are as they are."""

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, assert_never

import click
from msgspec import Struct, to_builtins
from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from loki_shipper.cli.complete_log_groups import complete_log_groups
from loki_shipper.cli.deployment import Deployment, deployment_options, open_deployment
from loki_shipper.cli.errors import InputError, did_you_mean
from loki_shipper.cli.event_file import EventFile
from loki_shipper.cli.json_output import print_objects
from loki_shipper.cli.label_decisions import DecisionRow, Explained, changes, explained
from loki_shipper.cli.log_groups import log_group_named
from loki_shipper.cli.parameter_types import TAG, KeyValue
from loki_shipper.environment import SettingsError
from loki_shipper.model import LogData
from loki_shipper.settings import settings, variables
from loki_shipper.shipper.sources.decode import UndecodableError
from loki_shipper.shipper.sources.event import records
from loki_shipper.subscriber.groups.select import (
    Covered,
    NotSelected,
    Selected,
    SelectionVerdict,
    select,
)
from loki_shipper.subscriber.model import Filters, LogGroup, Reason
from loki_shipper.subscriber.run.dependencies import read_memory
from loki_shipper.subscriber.run.reconcile import current_selection

_NOWHERE = "http://not-pushed.invalid"
_LEFT_OUT = "left out"
_STYLES = {"label": "green", "metadata": "yellow", "nowhere": "dim"}


class _KnownTags(Struct, frozen=True):
    """What is known of a log group: `linking` says whether and why it is linked."""

    data: LogData
    tags: Mapping[str, str]
    region: str
    environ: Mapping[str, str]
    linking: str | None


@click.command()
@click.argument("group", required=False, shell_complete=complete_log_groups)
@deployment_options
@click.option(
    "--event", type=EventFile(), metavar="EVENT", help="Explain this event; AWS is not asked."
)
@click.option(
    "--tag",
    "tags",
    type=TAG,
    multiple=True,
    help="Explain it as if the log group had this tag too; repeat it.",
)
@click.option(
    "--diff",
    type=KeyValue("setting", "NAME=VALUE"),
    multiple=True,
    help="Show what this setting would change before it is deployed; repeat it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def explain(
    *,
    group: str | None,
    event: BinaryIO | None,
    tags: tuple[tuple[str, str], ...],
    diff: tuple[tuple[str, str], ...],
    as_json: bool,
    **which: Any,
) -> None:
    """Explain a log GROUP: why it is linked or not, and what became of each of its tags.

    With --event nothing is asked of AWS: the log group is the event's, its tags are those of --tag,
    and settings come from the environment.

    \b
    Why does this log group have these labels?
      loki-shipper explain /aws/lambda/checkout
    \b
    Which labels would change if only two tags became labels?
      loki-shipper explain /aws/lambda/checkout --diff TAG_LABELS=team,env
    \b
    The same without AWS:
      loki-shipper explain --event lambda --tag team=payments
    """  # noqa: D301 - click keeps the lines after a backspace as they are
    if (group is None) is (event is None):
        raise click.UsageError("name a log group, or give --event")
    if event is not None:
        groups = _of_event(event, dict(tags))
    else:
        with open_deployment(**which) as deployment:
            groups = [_of_group(deployment, str(group), dict(tags))]
    explained = [
        (known, _explained(known, {}), _explained(known, dict(diff)) if diff else None)
        for known in groups
    ]
    if as_json:
        print_objects([_as_object(*each) for each in explained])
        return
    console = Console(highlight=False, soft_wrap=True)
    for known, now, then in explained:
        for line in _diff(now, then) if then is not None else _lines(known, now):
            console.print(line)


def _of_event(file: BinaryIO, tags: dict[str, str]) -> list[_KnownTags]:
    """Give one payload of each log group of an event."""
    try:
        payloads = records(json.loads(file.read()))
    except (UndecodableError, ValueError) as error:
        raise InputError(f"--event is not an event of CloudWatch Logs: {error}") from None
    if not payloads:
        raise InputError("--event is a control message, which has no log group: name another")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "eu-central-1"
    groups = {(data.owner, data.log_group): data for data in reversed(payloads)}
    return [_KnownTags(data, tags, region, os.environ, None) for data in reversed(groups.values())]


def _of_group(deployment: Deployment, name: str, tags: Mapping[str, str]) -> _KnownTags:
    deps = deployment.deps
    group = log_group_named(name, deployment)
    # What the tags that were given would do.
    group = replace(group, tags={**group.tags, **tags})
    where = deps.settings.origin
    environ = deployment.shipper.environ
    data = LogData("DATA_MESSAGE", where.account, group.name, "", [])
    return _KnownTags(data, group.tags, where.region, environ, _linking(deployment, group))


def _linking(deployment: Deployment, group: LogGroup) -> str:
    deps = deployment.deps
    filters = deps.aws.filters(group.name)
    verdict = select(group, current_selection(deps.settings, read_memory(deps)))
    unwanted = _unwanted(verdict)
    return f"{_filter(filters)}; {_next(filters, unwanted, sweeps=deployment.sweeps)}"


def _unwanted(verdict: SelectionVerdict) -> str | None:
    """Say why a log group is to have no filter of its own; None where it is to have one."""
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
    only = f", only what matches {filters.ours.pattern}" if filters.ours.pattern else ""
    return f"linked since {since:%Y-%m-%d %H:%M}{only}{others}"


def _next(filters: Filters, unwanted: str | None, *, sweeps: bool) -> str:
    if unwanted is not None:
        verb = "to be unlinked" if filters.ours is not None else "left alone"
        return f"{verb}: {unwanted}"
    if filters.ours is not None:
        return "as the selection wants it"
    return "the next sweep links it" if sweeps else "`loki-shipper link` links it"


def _explained(known: _KnownTags, overrides: dict[str, str]) -> Explained:
    for name in sorted(overrides.keys() - variables().keys()):
        raise InputError(f"there is no setting {name}{did_you_mean(name.upper(), variables())}")
    # LOKI_URL is required, and says nothing about labels.
    environ = {**known.environ, **overrides, "LOKI_URL": _NOWHERE}
    try:
        configured = settings(environ)
    except SettingsError as error:
        raise InputError(f"correct the settings: {error}") from None
    return explained(known.data, known.tags, region=known.region, settings=configured)


def _lines(known: _KnownTags, now: Explained) -> Iterator[Text]:
    yield Text(known.data.log_group, style="bold")
    if known.linking is not None:
        yield Text(known.linking)
    for row in now.rows:
        yield _line(row)
    if now.tenant is not None:
        yield Text(f"tenant    {now.tenant}")


def _line(row: DecisionRow) -> Text:
    became = {"label": f"label {row.name}", "metadata": f"metadata {row.name}"}.get(row.place)
    why = f"  {row.why}" if row.why else ""
    return Text.assemble(
        (f"{row.origin:<8}", "dim"),
        f" {row.key}={json.dumps(row.value, ensure_ascii=False)}  ",
        (became or _LEFT_OUT, _STYLES[row.place]),
        (why, "dim"),
    )


def _diff(now: Explained, then: Explained) -> Iterator[Text]:
    changed = list(changes(now, then))
    for change in changed:
        if change.before is not None:
            yield Text(f"- {change.name}={json.dumps(change.before)}", style="red")
        if change.after is not None:
            yield Text(f"+ {change.name}={json.dumps(change.after)}", style="green")
    yield Text("new lines go to another stream" if changed else "no label changes")


def _as_object(known: _KnownTags, now: Explained, then: Explained | None) -> dict[str, Any]:
    return {
        "log_group": known.data.log_group,
        "linking": known.linking,
        "tenant": now.tenant,
        "labels": dict(now.labels),
        "metadata": dict(now.metadata),
        "rows": [_row_as_object(row) for row in now.rows],
        "changes": None if then is None else to_builtins(list(changes(now, then))),
    }


def _row_as_object(row: DecisionRow) -> dict[str, str]:
    became = _LEFT_OUT if row.place == "nowhere" else row.place
    return {**to_builtins(row), "place": became}
