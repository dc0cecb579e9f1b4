"""What `plan`, `link` and `unlink` print: for people what changes or cannot, for programs all."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import assert_never

import click
from msgspec import to_builtins
from rich.console import Console
from rich.text import Text

from loki_shipper.subscriber.apply import Done, Failed, Outcome, Skipped
from loki_shipper.subscriber.model import Reason
from loki_shipper.subscriber.plan import Action, Delete, Put, Skip
from loki_shipper.subscriber.tally import Report

_IN_THE_WAY = {
    Reason.FULL,
    Reason.LOG_CLASS,
    Reason.NO_TENANT,
    Reason.GONE,
    Reason.UNREADABLE,
}


def show_actions(actions: list[Action], *, as_json: bool) -> None:
    """Print what would be done."""
    if as_json:
        click.echo(json.dumps(to_builtins(actions), indent=2))
        return
    _print(_lines(actions))
    kinds = Counter(type(action) for action in actions)
    skips = [action.reason for action in actions if isinstance(action, Skip)]
    _sum(len(actions), f"{kinds[Put]:,} to link, {kinds[Delete]:,} to unlink", skips)


def show_outcomes(outcomes: list[Outcome], report: Report, *, as_json: bool) -> None:
    """Print what was done."""
    if as_json:
        whole = {"outcomes": to_builtins(outcomes), "report": to_builtins(report)}
        click.echo(json.dumps(whole, indent=2))
        return
    _print(_lines(_actions(outcomes)))
    _print(
        _line("failed", each.group, "red", f"{each.why} {each.detail}") for each in report.failed
    )
    skips = [each.skip.reason for each in outcomes if isinstance(each, Skipped)]
    done = f"{report.put:,} linked, {report.deleted:,} unlinked, {len(report.failed):,} failed"
    _sum(len(outcomes), done, skips)
    if report.caught_up:
        click.echo(f"{report.caught_up:,} first lines shipped")
    for group in report.behind:
        click.echo(f"more first lines than are shipped at once: loki-shipper backfill {group}")
    if report.waiting:
        click.echo(f"{report.waiting:,} log groups: their first lines wait for the next run")
    for group in report.given_up:
        click.echo(f"first lines given up, too old for Loki or deleted: {group}")


def _actions(outcomes: Iterable[Outcome]) -> Iterator[Action]:
    for outcome in outcomes:
        match outcome:
            case Done(action=action):
                yield action
            case Skipped(skip=skip):
                yield skip
            case Failed():
                pass
            case _:
                assert_never(outcome)


def _lines(actions: Iterable[Action]) -> Iterator[Text]:
    for action in sorted(actions, key=lambda action: action.group):
        match action:
            case Put(group=group, pattern=pattern, why=why):
                only = f", only what matches {pattern}" if pattern else ""
                yield _line("link", group, "green", f"{why}{only}")
            case Delete(group=group, reason=reason):
                yield _line("unlink", group, "yellow", reason.words)
            case Skip(group=group, reason=reason, detail=detail) if reason in _IN_THE_WAY:
                yield _line("cannot", group, "red", ": ".join(filter(None, (reason.words, detail))))
            case Skip():
                pass
            case _:
                assert_never(action)


def _line(verb: str, group: str, style: str, why: str) -> Text:
    return Text.assemble((f"{verb:<8}", style), group, (f"  {why.strip()}", "dim"))


def _sum(count: int, done: str, skips: Iterable[Reason]) -> None:
    reasons = sorted(Counter(skips).items(), key=lambda each: (-each[1], each[0]))
    skipped = [f"{number:,} {reason.replace('_', ' ')}" for reason, number in reasons]
    click.echo(f"{count:,} log groups: {', '.join([done, *skipped])}")


def _print(lines: Iterable[Text]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(line)
