"""Turns log events into the entries of streams."""

from collections.abc import Callable, Sequence
from operator import attrgetter

from msgspec import Struct

from loki_shipper.model import Entry, LogData, LogEvent, Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.columns import Columns, read
from loki_shipper.shipper.entries.long_lines import shorten, without_overlap
from loki_shipper.shipper.entries.metadata import MetadataMerger
from loki_shipper.shipper.entries.offsets import NS_PER_MS, STEP, offsets
from loki_shipper.shipper.rules.apply import CompiledRules, WorkingLine, apply_rules
from loki_shipper.shipper.rules.compile import StreamLabels, compile_metadata, compile_rules
from loki_shipper.shipper.rules.model import Rules

_CHECK_TIME_EVERY = 65_536
"""Characters of text between two looks at the clock: rules may be slow."""

_timestamp = attrgetter("timestamp")


class OutOfTimeError(Exception):
    """Raised when the invocation has no time left for the rules."""


class Transformed(Struct, frozen=True):
    """Entries by stream, in ascending time.

    `dropped` counts log events by the rule or reason that dropped them. `matched` counts how often
    each rule changed a line. `rejected` has entries that no tenant may read, by reason.
    """

    streams: list[tuple[Stream, Sequence[Entry]]]
    dropped: dict[str, int]
    matched: dict[str, int] = {}
    rejected: dict[str, list[Entry]] = {}


class RuleState(Struct, frozen=True):
    """Rules, and the values that became labels while the execution environment lives."""

    rules: Rules
    label_values: dict[tuple[str, str], set[str]]


def transform(  # noqa: PLR0913 - each is an input of its own
    data: LogData,
    stream: Stream,
    metadata: Pairs,
    *,
    rule_state: RuleState,
    settings: Settings,
    remaining: Callable[[], float] = lambda: float("inf"),
) -> Transformed:
    """Return the entries of a payload: one for each log event, more for a long one.

    Without rules all entries go to `stream` with `metadata`. Raises OutOfTimeError when the rules
    take longer than the `remaining` seconds.
    """
    events, places = data.log_events, offsets(data.log_events)
    merger = MetadataMerger(metadata, enabled=settings.structured_metadata)
    rules = rule_state.rules.of(data.log_group, data.line_fields)
    only_metadata = compile_metadata(rules, merger.merge)
    if only_metadata is not None:
        columns = read(events, places, only_metadata, settings.max_line_bytes)
        if columns is not None:
            return _from_columns(columns, stream, only_metadata.name, len(events) - len(columns))
    labels = StreamLabels(dict(stream.labels), settings.max_labels, rule_state.label_values)
    streams = _Streams(stream, merger, settings)
    return _line_by_line(events, places, streams, compile_rules(rules, labels), remaining)


def _from_columns(columns: Columns, stream: Stream, rule: str, empty: int) -> Transformed:
    # The first kind is that of lines from which the rule extracted nothing.
    extracted = len(columns) - columns.metadata.count(0)
    return Transformed(
        [(stream, columns)],
        {"empty": empty} if empty else {},
        {rule: extracted} if extracted else {},
    )


def _line_by_line(
    events: list[LogEvent],
    places: list[int],
    streams: "_Streams",
    rules: CompiledRules,
    remaining: Callable[[], float],
) -> Transformed:
    dropped: dict[str, int] = {}
    matched: dict[str, int] = {}
    rejected: dict[str, list[Entry]] = {}
    unchecked = 0
    for event, place in zip(events, places, strict=True):
        unchecked += len(event.message)
        if unchecked > _CHECK_TIME_EVERY:
            unchecked = 0
            if remaining() <= 0:
                raise OutOfTimeError
        line = apply_rules(event, rules, matched)
        if not line.text or line.dropped is not None:
            reason = line.dropped or "empty"
            dropped[reason] = dropped.get(reason, 0) + 1
        elif line.rejected is not None:
            when = line.timestamp * NS_PER_MS + place
            rejected.setdefault(line.rejected, []).append(Entry(when, line.text, (), line.event))
        else:
            streams.add(line, place)
    return Transformed(streams.in_order(), dropped, matched, rejected)


type _Key = tuple[str | None, Pairs]
"""A tenant, and the labels of rules."""


class _Streams:
    """Collects the entries of one payload by stream: its own, and the streams of rules."""

    def __init__(self, stream: Stream, merger: MetadataMerger, settings: Settings) -> None:
        self._stream = stream
        self._merger = merger
        self._settings = settings
        self._limit = settings.max_line_bytes
        self._own: list[Entry] = []
        self._by_key: dict[_Key, tuple[Stream, list[Entry]]] = {
            (stream.tenant, ()): (stream, self._own)
        }
        self._has_overlap = False

    def add(self, line: WorkingLine, place: int) -> None:
        """Add the entries of a line; `place` is in ns within its millisecond."""
        text = line.text
        entry = Entry(
            line.timestamp * NS_PER_MS + place,
            text,
            self._merger.merged(line.metadata),
            line.event,
        )
        entries = self._entries_of(line)
        # A character has at most four bytes.
        if len(text) * 4 > self._limit and len(text.encode()) > self._limit:
            parts = shorten(entry, self._settings)
            self._has_overlap = self._has_overlap or len(parts) > STEP
            entries += parts
        else:
            entries.append(entry)

    def _entries_of(self, line: WorkingLine) -> list[Entry]:
        if not line.labels and line.tenant is None:
            return self._own
        tenant = self._stream.tenant if line.tenant is None else line.tenant
        key = (tenant, tuple(sorted(line.labels)))
        if key not in self._by_key:
            labels = tuple(sorted((*self._stream.labels, *line.labels)))
            self._by_key[key] = (Stream(tenant, labels), [])
        return self._by_key[key][1]

    def in_order(self) -> list[tuple[Stream, Sequence[Entry]]]:
        """Return each stream that has entries, with its entries in order of time."""
        found: list[tuple[Stream, Sequence[Entry]]] = []
        for stream, entries in self._by_key.values():
            if entries and self._has_overlap:
                found.append((stream, without_overlap(entries)))
            elif entries:
                entries.sort(key=_timestamp)
                found.append((stream, entries))
        return found
