"""Compares the lines in CloudWatch Logs with the lines in Loki, while both arrive."""

from collections.abc import Iterator, Mapping
from typing import Any

import click
from msgspec import Struct
from rich.text import Text

from loki_shipper.cli.arrivals import Arrival, ComparedLine, Comparison, ExpectedLine
from loki_shipper.cli.console import line_console
from loki_shipper.cli.deployed_rules import deployed_rules
from loki_shipper.cli.deployment import Deployment
from loki_shipper.cli.errors import InputError, NotDeliveredError, stoppable
from loki_shipper.cli.follow_loki import AHEAD_MS, LokiQuery, PollSchedule, follow_loki
from loki_shipper.cli.formatting import NS_PER_MS, clock_text, count_text, delay_text
from loki_shipper.cli.line_printer import line_escapes
from loki_shipper.model import LogData
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup, payloads
from loki_shipper.subscriber.groups.select import filter_pattern
from loki_shipper.subscriber.model import LogGroup

_GRACE = 15_000
"""How long only one of the two may have a line before we report it, in ms."""

_COLUMNS = {
    "both": "yes         yes    ",
    "cloudwatch": "yes         not yet",
    "loki": "not yet     yes    ",
}
_STYLES = {"both": "green", "cloudwatch": "red", "loki": "yellow"}


class LabelInputs(Struct, frozen=True):
    """The values that a line's labels depend on; `tags` are those of the log group."""

    settings: Settings
    account: str
    region: str
    tags: Mapping[str, str]


class CloudWatchLines:
    """Reads the log events of a log group, and makes the lines that Loki should have of them."""

    def __init__(
        self, deployment: Deployment, group: LogGroup, inputs: LabelInputs, begin: int
    ) -> None:
        deps = deployment.deps
        self.dropped = 0
        self._events = deps.aws.events
        self._pattern = filter_pattern(group, deps.settings)
        self._origin = FilteredGroup(deps.settings.origin.account, group.name, "")
        self._inputs = inputs
        self._group = group
        self._seen: set[Any] = set()
        self._begin = max(begin, _linked_since(deployment, group))
        self._rule_state = RuleState(deployed_rules(inputs.settings, deployment.session), {})

    def new(self, start: int, end: int) -> Iterator[ExpectedLine]:
        """Return the lines of log events that are new, from `start` to before `end`."""
        start = max(start, self._begin)
        if start >= end:
            return
        name = self._group.name
        for page in self._events(name, start=start, end=end, pattern=self._pattern):
            fresh = [each for each in page if each[1].id not in self._seen]
            self._seen |= {event.id for _, event in fresh}
            for data in payloads(fresh, self._origin):
                yield from self._expected(data)

    def _expected(self, data: LogData) -> Iterator[ExpectedLine]:
        inputs = self._inputs
        labels = label_stream(data, inputs.tags, region=inputs.region, settings=inputs.settings)
        result = transform(
            data,
            labels.stream,
            labels.metadata,
            rule_state=self._rule_state,
            settings=inputs.settings,
        )
        self.dropped += sum(result.dropped.values())
        for _, entries in result.streams:
            for entry in entries:
                yield ExpectedLine(entry.timestamp // NS_PER_MS, entry.line)


def _linked_since(deployment: Deployment, group: LogGroup) -> int:
    """Return when the log group was linked, in ms since 1970; 0 with the account policy."""
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


def compare_lines(query: LokiQuery, schedule: PollSchedule, cloudwatch: CloudWatchLines) -> None:
    """Print each line with where it is, until the schedule ends.

    Raises NotDeliveredError if Loki lacks lines at the end.
    """
    comparison = Comparison(_GRACE)
    console = line_console()
    escapes = line_escapes(on_terminal=console.is_terminal)
    console.print(Text("CloudWatch  Loki     time            delay  line", style="bold"))

    def show(new: list[Arrival], start: int, now: int) -> None:
        comparison.add_loki(new, now)
        comparison.add_cloudwatch(cloudwatch.new(start, now + AHEAD_MS), now)
        for each in comparison.report(now):
            console.print(_compared(each, escapes))

    def summary() -> str:
        missing = comparison.missing(schedule.clock.now())
        counts = f"{count_text(comparison.in_both, 'line')} in both, {len(missing):,} not in Loki"
        dropped = f", {cloudwatch.dropped:,} dropped by rules" if cloudwatch.dropped else ""
        return counts + dropped

    with stoppable(lambda: f"stopped: {summary()}"):
        follow_loki(query, schedule, show)
    click.echo(summary(), err=True)
    if comparison.missing(schedule.clock.now()):
        raise NotDeliveredError(
            "lines of CloudWatch Logs are not in Loki after 15 seconds: `loki-shipper doctor` and "
            "`loki-shipper status` say why"
        )


def _compared(each: ComparedLine, escapes: dict[int, str]) -> Text:
    return Text.assemble(
        (_COLUMNS[each.presence], _STYLES[each.presence]),
        (f"  {clock_text(each.expected.timestamp)}", "dim"),
        f"  {delay_text(each.delay):>7}  {each.expected.line.translate(escapes)}",
    )
