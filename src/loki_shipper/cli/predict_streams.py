"""Predicts how many streams a day the lines of a log group make, from those of an hour."""

from collections import Counter
from collections.abc import Iterator
from itertools import batched, groupby
from math import prod
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct

from loki_shipper.aws.boto import call_boto
from loki_shipper.cli.compare_lines import LabelInputs
from loki_shipper.cli.formatting import NS_PER_MS
from loki_shipper.model import Batch, LogData, LogEvent, Stream
from loki_shipper.shipper.delivery.late import is_late, split_late
from loki_shipper.shipper.entries.transform import RuleState, transform
from loki_shipper.shipper.labels.decide import label_stream
from loki_shipper.shipper.rules.model import Label, Rule, Rules, Sampling, Tenant
from loki_shipper.subscriber.first_lines.payloads import FilteredGroup, payloads

MAX_LINES: Final = 10_000
"""Lines after which no further page of FilterLogEvents is read."""

_MAX_PAGES = 20
_MAX_DELIVERED = 100
"""Lines that are counted at once: it decides how exactly a half of the lines is found."""

_MINUTE_MS = 60_000
_DAY_MINUTES = 24 * 60


class LoggedEvent(Struct, frozen=True):
    """A log event, its log stream, and when CloudWatch Logs got it, in ms since 1970."""

    log_stream: str
    event: LogEvent
    ingested: int


class Sample(Struct, frozen=True):
    """The log events from `start` to before `end`, in ms since 1970."""

    events: list[LoggedEvent]
    start: int
    end: int

    @property
    def minutes(self) -> float:
        """Give the length of the time that the log events cover."""
        return (self.end - self.start) / _MINUTE_MS


class LabelForecast(Struct, frozen=True):
    """A label of a rule that has `values` values in the sample, and takes `at_most`.

    `full_after_minutes` counts from the start of the sample. None: not within a day.
    """

    rule: str
    label: str
    values: int
    at_most: int
    full_after_minutes: int | None


class StreamForecast(Struct, frozen=True):
    """The streams that the `lines` of some `minutes` make, and about how many a day makes.

    `late` of the `seen` streams are late streams. `dropped` counts the lines that rules dropped, by
    rule. With `one_of`, the rule `sampled_by` keeps the lines of one of so many requests.
    """

    lines: int
    minutes: int
    seen: int
    late: int
    a_day: int
    labels: list[LabelForecast]
    dropped: dict[str, int] = {}
    sampled_by: str | None = None
    one_of: int | None = None


def read_sample(logs: Any, log_group: str, pattern: str, start: int, end: int) -> Sample:
    """Read log events from `start` to before `end`, at most some MAX_LINES. Raises AwsError.

    The sample ends earlier if there are more. FilterLogEvents gives the oldest first.
    """
    found: list[LoggedEvent] = []
    token: dict[str, str] = {}
    for _ in range(_MAX_PAGES):
        page = call_boto(
            lambda: logs.filter_log_events(
                logGroupName=log_group,
                startTime=start,
                endTime=end - 1,
                filterPattern=pattern,
                **token,  # noqa: B023 - called at once
            )
        )
        found += map(_logged, page["events"])
        if not page.get("nextToken"):
            return Sample(found, start, end)
        if len(found) >= MAX_LINES:
            break
        token = {"nextToken": page["nextToken"]}
    newest = max((each.event.timestamp for each in found), default=start)
    return Sample(found, start, max(newest, start + _MINUTE_MS))


def _logged(event: dict[str, Any]) -> LoggedEvent:
    line = LogEvent(event["eventId"], event["timestamp"], event["message"])
    return LoggedEvent(event["logStreamName"], line, event["ingestionTime"])


def predict_streams(
    sample: Sample, group: FilteredGroup, inputs: LabelInputs, rules: Rules
) -> StreamForecast:
    """Count the streams of a sample by the shipper's own code, and extrapolate them to a day.

    New streams are taken to come all day as they come in the second half of the lines.
    """
    counter = _StreamCounter(group, inputs, rules, sample.start)
    half: _Counts | None = None
    added = 0
    for delivered in _deliveries(sample.events):
        counter.add(delivered)
        added += len(delivered)
        if half is None and added * 2 >= len(sample.events):
            half = counter.counts()
    whole = counter.counts()
    growth = _Growth(half or whole, whole, sample.minutes)
    own = rules.of(group.log_group)
    streams = min(growth.a_day(growth.half.streams, whole.streams), most_streams(own))
    return StreamForecast(
        lines=len(sample.events),
        minutes=round(sample.minutes),
        seen=whole.streams + whole.late,
        late=whole.late,
        a_day=int(streams) + growth.a_day(growth.half.late, whole.late),
        labels=[_label(rule, label, counter, growth) for rule, label in _bounded(own)],
        dropped=dict(counter.dropped),
        **_sampling(own),
    )


def _sampling(rules: tuple[Rule, ...]) -> dict[str, Any]:
    sampling = ((rule.name, rule.action) for rule in rules if isinstance(rule.action, Sampling))
    for name, action in sampling:
        return {"sampled_by": name, "one_of": action.one_of}
    return {}


def _deliveries(events: list[LoggedEvent]) -> Iterator[tuple[LoggedEvent, ...]]:
    """Divide log events into what CloudWatch Logs would deliver at about the same time."""
    in_order = sorted(events, key=attrgetter("ingested"))
    for _, at_once in groupby(in_order, lambda each: each.ingested // 1000):
        yield from batched(at_once, _MAX_DELIVERED)


class _Counts(Struct, frozen=True):
    """How many streams, late streams, and values of labels there were at a time."""

    streams: int
    late: int
    values: dict[tuple[str, str], int]


class _Growth(Struct, frozen=True):
    """Extrapolates counts of so many minutes by what the second half of the lines added."""

    half: _Counts
    whole: _Counts
    minutes: float

    def a_day(self, before: int, seen: int) -> int:
        """Extrapolate a count to a day."""
        return seen + round(self._rate(before, seen) * max(0, _DAY_MINUTES - self.minutes))

    def minutes_until(self, label: tuple[str, str], count: int) -> int | None:
        """Tell after how many minutes a label has so many values; None: not within a day."""
        before, seen = (each.values.get(label, 0) for each in (self.half, self.whole))
        if (rate := self._rate(before, seen)) <= 0:
            return None
        after = round(self.minutes + (count - seen) / rate)
        return after if after <= _DAY_MINUTES else None

    def _rate(self, before: int, seen: int) -> float:
        return (seen - before) / (self.minutes / 2)


class _StreamCounter:
    """Collects the streams that an execution environment would push, delivery by delivery."""

    def __init__(self, group: FilteredGroup, inputs: LabelInputs, rules: Rules, start: int) -> None:
        self._start = start
        self._group = group
        self._inputs = inputs
        self._state = RuleState(rules, {})
        self._streams: set[Stream] = set()
        self.reached: dict[tuple[str, str, int], int] = {}
        """After how many minutes the label of a rule first had so many values."""
        self.dropped: Counter[str] = Counter()
        """Lines that were dropped, by rule."""

    def add(self, events: tuple[LoggedEvent, ...]) -> None:
        """Add log events that are delivered together."""
        now = events[-1].ingested
        for data in payloads(((each.log_stream, each.event) for each in events), self._group):
            self._streams.update(self._streams_of(data, now))
        for label, values in self._state.label_values.items():
            after = max(0, now - self._start) // _MINUTE_MS
            self.reached.setdefault((*label, len(values)), after)

    def _streams_of(self, data: LogData, now: int) -> Iterator[Stream]:
        settings = self._inputs.settings
        labelled = label_stream(
            data, self._inputs.tags, region=self._inputs.region, settings=settings
        )
        result = transform(
            data,
            labelled.stream,
            labelled.metadata,
            rule_state=self._state,
            settings=settings,
        )
        self.dropped.update(result.dropped)
        for stream, entries in result.streams:
            if labelled.missing_tenant is None or stream.tenant is not None:
                batch = Batch(stream, entries)
                for each in split_late(
                    batch, now=now * NS_PER_MS, minutes=settings.late_stream_minutes
                ):
                    yield each.stream

    def counts(self) -> _Counts:
        """Count what there is so far."""
        late = sum(map(is_late, self._streams))
        values = {label: len(found) for label, found in self._state.label_values.items()}
        return _Counts(len(self._streams) - late, late, values)


def _label(rule: str, label: Label, counter: _StreamCounter, growth: _Growth) -> LabelForecast:
    key = rule, label.name
    full = counter.reached.get((*key, label.at_most))
    if full is None:
        full = growth.minutes_until(key, label.at_most)
    return LabelForecast(rule, label.name, growth.whole.values.get(key, 0), label.at_most, full)


def _bounded(rules: tuple[Rule, ...]) -> Iterator[tuple[str, Label]]:
    for rule in rules:
        if isinstance(rule.action, Label) and rule.action.values is None:
            yield rule.name, rule.action


def most_streams(rules: tuple[Rule, ...]) -> float:
    """Give how many streams rules let an execution environment make, without late ones."""
    if any(isinstance(rule.action, Tenant) for rule in rules):
        return float("inf")
    values: dict[str, int] = {}
    for label in (rule.action for rule in rules if isinstance(rule.action, Label)):
        most = label.at_most if label.values is None else len(label.values)
        values[label.name] = values.get(label.name, 0) + most
    return prod(most + 1 for most in values.values())
