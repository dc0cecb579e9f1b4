"""Prints what `plan`, `link` and `unlink` do: as text what changes or cannot, as JSON all."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

import click
from msgspec import Struct
from rich.text import Text

from loki_shipper.cli.bucket_output import (
    action_line,
    bucket_lines,
    bucket_objects,
    bucket_sum,
)
from loki_shipper.cli.console import line_console
from loki_shipper.cli.formatting import count_text
from loki_shipper.cli.json_output import print_objects
from loki_shipper.deployment.retention import RetentionChange
from loki_shipper.subscriber.buckets.link import BucketOutcome
from loki_shipper.subscriber.filters.apply import (
    ActionOutcome,
    Done,
    Failed,
    Skipped,
    settled_actions,
)
from loki_shipper.subscriber.filters.plan import DeleteFilter, FilterAction, PutFilter, SkipGroup
from loki_shipper.subscriber.memory import CaughtUp
from loki_shipper.subscriber.model import Reason
from loki_shipper.subscriber.run.report import RunReport

_OBSTACLES = {
    Reason.FULL,
    Reason.LOG_CLASS,
    Reason.NO_TENANT,
    Reason.GONE,
    Reason.UNREADABLE,
}

_COUNTED_AS = {
    Reason.LINKED: "linked already",
    Reason.OWN: "of Loki-Shipper itself",
    Reason.NOT_INCLUDED: "not included",
    Reason.EXCLUDED: "excluded",
    Reason.TAGS: "with other tags",
    Reason.NO_TENANT: "without a tenant",
    Reason.BY_HAND: "unlinked by hand",
    Reason.ACCOUNT_POLICY: "linked by the account policy",
    Reason.STOPPED: "unlinked until `loki-shipper link --all`",
    Reason.LOG_CLASS: "of a class that takes no filter",
    Reason.FULL: "without a place for our filter",
    Reason.GONE: "deleted meanwhile",
    Reason.UNREADABLE: "with filters that could not be read",
}
"""Follows the number of log groups that stay as they are, by reason."""


class LinkResult(Struct, frozen=True):
    """The result of a run: its outcomes and report, and the shipped first lines by log group.

    `by_hand` has the log groups that you ordered to be linked (True) or unlinked (False);
    `buckets` the outcomes for buckets with log files.
    """

    outcomes: list[ActionOutcome]
    report: RunReport
    first_lines: Mapping[str, CaughtUp]
    by_hand: Mapping[str, bool]
    buckets: list[BucketOutcome] = []
    retention: list[RetentionChange] = []


def print_actions(
    actions: list[FilterAction],
    buckets: list[BucketOutcome],
    by_hand: Mapping[str, bool],
    retention: Iterable[RetentionChange] = (),
    *,
    as_json: bool,
) -> None:
    """Print what a run would do; `by_hand` is as in LinkResult."""
    if as_json:
        planned = _retention(retention)
        objects = (_as_object(each, None, planned.get(each.group)) for each in actions)
        print_objects([*objects, *bucket_objects(buckets)])
        return
    _print(bucket_lines(buckets))
    _print(_lines(actions))
    _print(_retention_lines(retention))
    kinds = Counter(type(action) for action in actions)
    skips = [action for action in actions if isinstance(action, SkipGroup)]
    done = {"to link": kinds[PutFilter], "to unlink": kinds[DeleteFilter]}
    if actions or not buckets:
        click.echo(_sum(done, skips, by_hand))
    if buckets:
        click.echo(bucket_sum(buckets, "to link", "to unlink"))


def print_result(result: LinkResult, *, as_json: bool) -> None:
    """Print what a run did."""
    outcomes, report = result.outcomes, result.report
    if as_json:
        first_lines = _first_lines(report, result.first_lines)
        retention = _retention(result.retention)
        objects = (
            _as_object(each, first_lines.get(each.group), retention.get(each.group))
            for each in outcomes
        )
        print_objects([*objects, *bucket_objects(result.buckets)])
        return
    _print(bucket_lines(result.buckets))
    _print(_lines(settled_actions(outcomes)))
    _print(
        action_line("failed", each.group, "red", f"{each.why} {each.detail}")
        for each in report.failed
    )
    _print(_retention_lines(result.retention))
    skips = [each.skip for each in outcomes if isinstance(each, Skipped)]
    counts = {"linked": report.put, "unlinked": report.deleted, "failed": len(report.failed)}
    if outcomes or report.failed or not result.buckets:
        click.echo(_sum(counts, skips, result.by_hand))
    if result.buckets:
        click.echo(bucket_sum(result.buckets, "linked", "unlinked"))
    if report.caught_up:
        click.echo(f"{report.caught_up:,} first lines shipped")
    for group in report.behind:
        click.echo(f"some first lines are still to be shipped: loki-shipper backfill {group}")
    if report.waiting:
        click.echo(f"{report.waiting:,} log groups: their first lines wait for the next run")
    for group in report.given_up:
        click.echo(f"first lines given up, too old for Loki or deleted: {group}")


def _as_object(
    action: FilterAction | ActionOutcome,
    first_lines: dict[str, Any] | None,
    retention: str | None,
) -> dict[str, Any]:
    """Return one log group's JSON object; `action` is the same word as in the text."""
    verb, reason, detail, put = _columns(action)
    return {
        "log_group": action.group,
        "action": verb,
        "reason": reason,
        "detail": detail,
        "pattern": None if put is None else put.pattern,
        "system_fields": None if put is None else list(put.system_fields),
        "prefixes": None,
        "first_lines": first_lines,
        "retention": retention,
    }


def _retention(changes: Iterable[RetentionChange]) -> dict[str, str]:
    return {each.log_group: each.words for each in changes if each.fault is None}


def _retention_lines(changes: Iterable[RetentionChange]) -> Iterator[Text]:
    for each in sorted(changes, key=lambda change: change.log_group):
        if each.fault is None:
            yield action_line("keep", each.log_group, "yellow", each.words)
        else:
            yield action_line("failed", each.log_group, "red", f"{each.words}: {each.fault}")


def _columns(action: FilterAction | ActionOutcome) -> tuple[str, str, str, PutFilter | None]:
    match action:
        case Done(action=done):
            return _columns(done)
        case Skipped(skip=skip):
            return _columns(skip)
        case Failed(why=why, detail=detail):
            return "failed", why, detail, None
        case PutFilter(why=why):
            return "link", why, "", action
        case DeleteFilter(reason=reason):
            return "unlink", reason, "", None
        case SkipGroup(reason=reason, detail=detail):
            return "cannot" if reason in _OBSTACLES else "none", reason, detail, None
        case _:
            assert_never(action)


def _first_lines(report: RunReport, shipped: Mapping[str, CaughtUp]) -> dict[str, dict[str, Any]]:
    given_up = {name: {"lines": 0, "state": "given_up"} for name in report.given_up}
    return given_up | {
        name: {"lines": each.lines, "state": "shipped" if each.complete else "more"}
        for name, each in shipped.items()
    }


def _lines(actions: Iterable[FilterAction]) -> Iterator[Text]:
    for action in sorted(actions, key=lambda action: action.group):
        match action:
            case PutFilter(group=group, pattern=pattern, why=why, system_fields=fields):
                yield action_line("link", group, "green", f"{why}{filter_text(pattern, fields)}")
            case DeleteFilter(group=group, reason=reason):
                yield action_line("unlink", group, "yellow", reason.words)
            case SkipGroup(group=group, reason=reason, detail=detail) if reason in _OBSTACLES:
                yield action_line(
                    "cannot", group, "red", ": ".join(filter(None, (reason.words, detail)))
                )
            case SkipGroup():
                pass
            case _:
                assert_never(action)


def filter_text(pattern: str, system_fields: Iterable[str]) -> str:
    """Format the options of a filter as the end of a sentence; empty without options."""
    only = f", only what matches {pattern}" if pattern else ""
    fields = ", ".join(system_fields)
    return f"{only}, with {fields}" if fields else only


def _sum(done: Mapping[str, int], skips: list[SkipGroup], by_hand: Mapping[str, bool]) -> str:
    """Count log groups: first those that change, then the others, most frequent first."""
    skipped = Counter(_counted_as(skip, by_hand) for skip in skips)
    rest = sorted(skipped.items(), key=lambda each: (-each[1], each[0]))
    parts = [f"{number:,} {words}" for words, number in (*done.items(), *rest) if number]
    number = sum(done.values()) + len(skips)
    return f"{count_text(number, 'log group')}: {', '.join(parts) or 'none'}"


def _counted_as(skip: SkipGroup, by_hand: Mapping[str, bool]) -> str:
    if skip.reason is Reason.LINKED and by_hand.get(skip.group):
        return "linked by hand"
    return _COUNTED_AS[skip.reason]


def _print(lines: Iterable[Text]) -> None:
    console = line_console()
    for line in lines:
        console.print(line)
