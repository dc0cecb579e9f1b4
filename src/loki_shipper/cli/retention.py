"""The option `--retention` of `plan` and `link`, and what `unlink` takes back."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, assert_never, override

import click
from rich.text import Text

from loki_shipper.aws.errors import AwsError
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import InputError
from loki_shipper.cli.formatting import count_text
from loki_shipper.deployment.preview import pace_by
from loki_shipper.deployment.retention import (
    RETENTION_DAYS,
    RetentionChange,
    RetentionEffects,
    RetentionSaving,
    restore_retention,
    retention_key,
    retention_text,
    retention_writer,
    set_retention,
)
from loki_shipper.subscriber.filters.apply import ActionOutcome, settled_actions
from loki_shipper.subscriber.filters.plan import DeleteFilter, FilterAction, PutFilter, SkipGroup
from loki_shipper.subscriber.model import LogGroup, Reason

_SHIPPED: Final = {Reason.LINKED, Reason.ACCOUNT_POLICY}
_NOT_SHIPPED: Final = {
    Reason.OWN,
    Reason.NOT_INCLUDED,
    Reason.EXCLUDED,
    Reason.TAGS,
    Reason.NO_TENANT,
    Reason.BY_HAND,
    Reason.STOPPED,
}
_DEAREST: Final = 10


class Retention(click.ParamType[int]):
    """A retention in days, written `7d`, that CloudWatch Logs takes."""

    name = "DAYS"

    @override
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"([0-9]{1,4})d", value)
        if match is None or int(match[1]) not in RETENTION_DAYS:
            taken = ", ".join(f"{days}d" for days in RETENTION_DAYS)
            self.fail(f"{value!r} is no retention that CloudWatch Logs takes: {taken}", param, ctx)
        return int(match[1])


def retention_question(days: int) -> str:
    """Ask whether to delete lines for good."""
    return (
        f"CloudWatch Logs will delete lines older than {retention_text(days)} for good, in each "
        "log group that this links and that never expires, also lines that Loki does not have. "
        "Go on?"
    )


def change_retention(
    deployment: Deployment,
    groups: Sequence[LogGroup],
    outcomes: Iterable[ActionOutcome],
    days: int | None,
) -> list[RetentionChange]:
    """Set the retention of log groups that are shipped, and take it back from the others.

    Without `days` none is set. Raises InputError, ConflictError.
    """
    actions = [*settled_actions(outcomes)]
    shipped = {each.group for each in actions if is_shipped(each)}
    left = {each.group for each in actions if _is_left(each)}
    if days is not None:
        require_bucket(deployment)
    elif deployment.deps.settings.bucket is None:
        return []
    effects = _effects(deployment)
    changes: list[RetentionChange] = []
    try:
        changes += restore_retention(left, effects)
    except AwsError as error:
        # `deploy --delete` unlinks also without the bucket.
        click.echo(f"no retention is taken back, as {effects.key} fails: {error.code}", err=True)
    if days is not None:
        changes += set_retention([each for each in groups if each.name in shipped], days, effects)
    return changes


def planned_retention(
    groups: Iterable[LogGroup], actions: Iterable[FilterAction], days: int | None
) -> list[RetentionChange]:
    """Return the changes that `change_retention` would make, without those that it takes back."""
    shipped = {each.group for each in actions if is_shipped(each)}
    return [
        RetentionChange(each.name, days)
        for each in groups
        if days is not None and each.retention_days is None and each.name in shipped
    ]


def require_bucket(deployment: Deployment) -> None:
    """Refuse a retention that could not be remembered. Raises InputError."""
    if deployment.deps.settings.bucket is None:
        raise InputError(
            "--retention needs the bucket of a stack, which remembers what it changes: "
            "name the stack with --stack"
        )


def _effects(deployment: Deployment) -> RetentionEffects:
    deps = deployment.deps
    return RetentionEffects(
        deps.aws,
        retention_key(deps.settings.origin),
        deps.aws.log_group,
        retention_writer(deployment.client("logs"), pace_by(deps.clock)),
    )


def is_shipped(action: FilterAction) -> bool:
    """Tell whether CloudWatch Logs delivers a log group's lines after this action."""
    match action:
        case PutFilter():
            return True
        case SkipGroup(reason=reason):
            return reason in _SHIPPED
        case DeleteFilter(reason=reason):
            return reason is Reason.ACCOUNT_POLICY
        case _:
            assert_never(action)


def _is_left(action: FilterAction) -> bool:
    match action:
        case PutFilter():
            return False
        case SkipGroup(reason=reason):
            return reason in _NOT_SHIPPED
        case DeleteFilter(reason=reason):
            return reason is not Reason.ACCOUNT_POLICY
        case _:
            assert_never(action)


def retention_faults(changes: Iterable[RetentionChange]) -> Iterator[str]:
    """Name the log groups whose retention could not be changed."""
    failed = [each for each in changes if each.fault is not None]
    if failed:
        codes = ", ".join(sorted({str(each.fault) for each in failed}))
        yield (
            f"the retention of {count_text(len(failed), 'log group')} was not changed ({codes}): "
            "remove the cause, and repeat the command"
        )


def savings_text(savings: Sequence[RetentionSaving], days: int) -> Iterator[Text]:
    """Return the lines that `plan --retention` prints: what most could be saved on, and sums."""
    worth = [each for each in savings if each.saved_bytes]
    if worth:
        yield from _table(worth[:_DEAREST])
    endless = [each for each in savings if each.group.retention_days is None]
    longer = [each for each in worth if each.group.retention_days is not None]
    yield Text(
        f"{count_text(len(endless), 'log group')} without a retention: `link --retention {days}d` "
        f"saves at most ${_sum(endless):,.2f} a month"
    )
    if longer:
        yield Text(
            f"{count_text(len(longer), 'log group')} with a longer retention of their own: at "
            f"most ${_sum(longer):,.2f} a month, but `link --retention` does not change them"
        )
    yield Text(
        "AWS charges for stored lines after compression: its calculator takes 15 % of their size. "
        "CloudWatch Logs deletes older lines for good.",
        style="dim",
    )


def _table(savings: Sequence[RetentionSaving]) -> Iterator[Text]:
    cells = [("log group", "retention", "stored GB", "saves at most $/month")]
    cells += [
        (
            each.group.name,
            retention_text(each.group.retention_days),
            f"{each.group.stored_bytes / 1e9:,.2f}",
            f"{each.dollars:,.2f}",
        )
        for each in savings
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for place, (name, retention, stored, dollars) in enumerate(cells):
        columns = f"{name:<{widths[0]}}  {retention:<{widths[1]}}"
        numbers = f"{stored:>{widths[2]}}  {dollars:>{widths[3]}}"
        yield Text(f"{columns}  {numbers}", style="" if place else "bold")


def _sum(savings: Iterable[RetentionSaving]) -> float:
    return sum(each.dollars for each in savings)


def saving_objects(savings: Iterable[RetentionSaving]) -> Iterator[dict[str, Any]]:
    """Return each log group's JSON object, the one that saves most first."""
    for each in savings:
        group = each.group
        yield {
            "log_group": group.name,
            "retention_days": group.retention_days,
            "stored_bytes": group.stored_bytes,
            "saved_bytes": each.saved_bytes,
            "saved_dollars": round(each.dollars, 4),
            "link_sets": group.retention_days is None,
        }
