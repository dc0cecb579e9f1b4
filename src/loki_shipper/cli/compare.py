"""Compares the lines that CloudWatch Logs has with those that Loki has, as both come."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import click
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from loki_shipper.cli.arrivals import Arrival, Compared, Comparison, Expected
from loki_shipper.cli.aws import CommandSession
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import InputError, NotDeliveredError, stoppable
from loki_shipper.cli.line_printer import clock_text, controls, count_text, delay_text
from loki_shipper.cli.looks import AHEAD_MS, NS_PER_MS, Looks, Source, follow
from loki_shipper.model import LogData
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.rules.cache import RulesCache
from loki_shipper.shipper.rules.file import rules_file
from loki_shipper.shipper.rules.parse import Rules, RulesError
from loki_shipper.subscriber.first_lines.payload import FilteredGroup, payloads
from loki_shipper.subscriber.groups.select import filter_pattern
from loki_shipper.subscriber.model import LogGroup

_GRACE = 15_000
"""How long a line may be in only one of the two before that is told, in ms."""

_PLACES = {
    "both": "yes         yes    ",
    "cloudwatch": "yes         not yet",
    "loki": "not yet     yes    ",
}
_STYLES = {"both": "green", "cloudwatch": "red", "loki": "yellow"}


class LabelSources(Struct, frozen=True):
    """A shipper's settings, and what its labels depend on; `tags` are those of the log group."""

    configured: Settings
    session: Callable[[], CommandSession]
    account: str
    region: str
    tags: Mapping[str, str]


class CloudWatchLines:
    """Reads the log events of a log group, as the lines that Loki should have of them."""

    def __init__(
        self, deployment: Deployment, group: LogGroup, place: LabelSources, begin: int
    ) -> None:
        deps = deployment.deps
        self.dropped = 0
        self._events = deps.aws.events
        self._pattern = filter_pattern(group, deps.settings)
        self._origin = FilteredGroup(deps.settings.origin.account, group.name, "")
        self._place = place
        self._group = group
        self._known: set[Any] = set()
        self._begin = max(begin, _linked_since(deployment, group))
        self._book = RuleState(_rules(place), {})

    def new(self, start: int, end: int) -> Iterator[Expected]:
        """Give the lines of log events that no look before had, from a time to before another."""
        start = max(start, self._begin)
        if start >= end:
            return
        name = self._group.name
        for page in self._events(name, start=start, end=end, pattern=self._pattern):
            fresh = [each for each in page if each[1].id not in self._known]
            self._known |= {event.id for _, event in fresh}
            for data in payloads(fresh, self._origin):
                yield from self._expected(data)

    def _expected(self, data: LogData) -> Iterator[Expected]:
        place = self._place
        made = label_stream(data, place.tags, region=place.region, settings=place.configured)
        result = transform(
            data, made.stream, made.metadata, rule_state=self._book, settings=place.configured
        )
        self.dropped += sum(result.dropped.values())
        for _, entries in result.streams:
            for entry in entries:
                yield Expected(entry.timestamp // NS_PER_MS, entry.line)


def _linked_since(deployment: Deployment, group: LogGroup) -> int:
    """Give from when on Loki gets a log group's lines, in ms since 1970; 0 where that is open."""
    deps = deployment.deps
    if deps.settings.link_mode == "account":
        return 0
    ours = deps.aws.filters(group.name).ours
    if ours is None:
        raise InputError(
            f"{group.name} is not linked, so its lines do not go to Loki: loki-shipper link "
            f"{group.name}"
        )
    return ours.since


def _rules(place: LabelSources) -> Rules:
    try:
        reference = place.configured.rules
        return RulesCache(
            reference,
            partial(rules_file, session=place.session()),
            clock=time.monotonic,
            jitter=float,
        )()
    except RulesError as error:
        raise InputError(f"the rules cannot be read as you: {error}") from None


def show_both(source: Source, looks: Looks, cloudwatch: CloudWatchLines) -> None:
    """Show each line with where it is, until the end.

    Raises NotDeliveredError where Loki lacks lines then.
    """
    comparison = Comparison(_GRACE)
    console = Console(highlight=False, soft_wrap=True)
    spelled = controls(on_terminal=console.is_terminal)
    console.print(Text("CloudWatch  Loki     time            delay  line", style="bold"))

    def show(new: list[Arrival], start: int, now: int) -> None:
        comparison.add_loki(new, now)
        comparison.add_cloudwatch(cloudwatch.new(start, now + AHEAD_MS), now)
        for each in comparison.tell(now):
            console.print(_compared(each, spelled))

    def summary() -> str:
        missing = comparison.missing(looks.clock.now())
        counts = f"{count_text(comparison.in_both)} in both, {len(missing):,} not in Loki"
        dropped = f", {cloudwatch.dropped:,} dropped by rules" if cloudwatch.dropped else ""
        return counts + dropped

    with stoppable(lambda: f"stopped: {summary()}"):
        follow(source, looks, show)
    click.echo(summary(), err=True)
    if comparison.missing(looks.clock.now()):
        raise NotDeliveredError(
            "lines of CloudWatch Logs are not in Loki after 15 seconds: `loki-shipper doctor` and "
            "`loki-shipper status` say why"
        )


def _compared(each: Compared, spelled: dict[int, str]) -> Text:
    style = _STYLES[each.state]
    return Text.assemble(
        (_PLACES[each.state], style),
        (f"  {clock_text(each.expected.timestamp)}", "dim"),
        f"  {delay_text(each.delay):>7}  {each.expected.line.translate(spelled)}",
    )
