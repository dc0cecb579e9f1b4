"""From log events to entries: what a line says, when, and with which structured metadata."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter, itemgetter

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import Entry, LogData, LogEvent, Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.entries.columns import Columns, read
from loki_shipper.shipper.rules.compile import (
    CompiledRules,
    StreamLabels,
    WorkingLine,
    apply_rules,
    compile_rules,
    metadata_extractors,
)
from loki_shipper.shipper.rules.parse import Rule, Rules

_MS = 1_000_000
_PARTS = 16
_CALL = 10_000
_SPREAD = _MS - _CALL * _PARTS
_ID_DIGITS = 56
_LOW_DIGITS = 16
_id = attrgetter("id")
# A quarter of the time of a slice in a loop.
_low_digits = itemgetter(slice(-_LOW_DIGITS, None))

_TOP_BITS, _CONTINUATION = 0xC0, 0x80
"""In UTF-8 each byte of a character but the first is 10xxxxxx."""

_MOST_NOTES = 16
"""At 2 KiB each, half of the structured metadata that Loki takes: no line is refused for them."""


_CHECK_TIME_EVERY = 65_536
"""Characters of text between two looks at the clock: rules may be slow."""


class OutOfTimeError(Exception):
    """Raised when the invocation has no time left for the rules."""


class Transformed(Struct, frozen=True):
    """Entries by stream, in ascending time.

    `dropped` counts log events by the reason or rule that left them out, `matched` how often each
    rule did something. `rejected` has by reason the entries that no tenant may read.
    """

    streams: list[tuple[Stream, Sequence[Entry]]]
    dropped: dict[str, int]
    matched: dict[str, int] = {}
    rejected: dict[str, list[Entry]] = {}


class RuleState(Struct, frozen=True):
    """Rules, and which values they have made labels for as long as the sandbox lives."""

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
    """Turn each log event into an entry, a long one into several, an empty one into none.

    All go to the one stream with the one metadata, unless the rules of the log group say otherwise.
    Raises OutOfTimeError when the rules take longer than the `remaining` seconds.
    """
    merging = _Merging(metadata if settings.structured_metadata else (), settings)
    rules, places = rule_state.rules.of(data.log_group), offsets(data.log_events)
    notes = metadata_extractors(rules, merging.metadata)
    if notes is not None or not rules:
        columns = read(data.log_events, places, merging.shared, notes, settings.max_line_bytes)
        if columns is not None:
            return _whole(columns, stream, rules, empty=len(places) - len(columns))
    place = StreamLabels(dict(stream.labels), settings.max_labels, rule_state.label_values)
    return _one_by_one(data, places, stream, merging, compile_rules(rules, place), remaining)


def _whole(columns: Columns, stream: Stream, rules: tuple[Rule, ...], *, empty: int) -> Transformed:
    noted = len(columns) - columns.metadata.count(0)
    return Transformed(
        [(stream, columns)],
        {"empty": empty} if empty else {},
        {rules[0].name: noted} if noted else {},
    )


def _one_by_one(  # noqa: PLR0913, PLR0917 - each is an input of its own
    data: LogData,
    places: list[int],
    stream: Stream,
    merging: "_Merging",
    steps: CompiledRules,
    remaining: Callable[[], float],
) -> Transformed:
    """Look at each line: it may change, be left out, be split, or go to a stream of its own."""
    limit, streams = merging.settings.max_line_bytes, _Streams(stream)
    dropped: dict[str, int] = {}
    matched: dict[str, int] = {}
    rejected: dict[str, list[Entry]] = {}
    unchecked = 0
    crowded = False
    for event, offset in zip(data.log_events, places, strict=True):
        unchecked += len(event.message)
        if unchecked > _CHECK_TIME_EVERY:
            unchecked = 0
            if remaining() <= 0:
                raise OutOfTimeError
        line = apply_rules(event, steps, matched)
        text = line.text
        if not text or line.dropped is not None:
            reason = line.dropped or "empty"
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        when = line.timestamp * _MS + offset
        if line.rejected is not None:
            rejected.setdefault(line.rejected, []).append(Entry(when, text, (), line.event))
            continue
        entries, metadata = streams.of(line), merging.known(line.notes)
        if len(text) * 4 > limit and len(text.encode()) > limit:
            parts = _long(line.event, text, when, metadata, merging.settings)
            crowded = crowded or len(parts) > _PARTS
            entries += parts
        else:
            entries.append(Entry(when, text, metadata, line.event))
    found: list[tuple[Stream, Sequence[Entry]]] = [
        (stream, _in_order(entries, crowded=crowded))
        for stream, entries in streams.found.values()
        if entries
    ]
    return Transformed(found, dropped, matched, rejected)


def _in_order(entries: list[Entry], *, crowded: bool) -> list[Entry]:
    """Sort entries by time.

    `crowded`: a line has more parts than its place has room for. The lines that it runs into are
    moved behind it, as Loki keeps one entry of those with the same time and text.
    """
    if not crowded:
        entries.sort(key=attrgetter("timestamp"))
        return entries
    lines = [[*parts] for _, parts in groupby(entries, key=lambda entry: id(entry.event))]
    lines.sort(key=lambda parts: parts[0].timestamp)
    apart: list[Entry] = []
    free = 0
    for parts in lines:
        move = max(0, free - parts[0].timestamp)
        apart += [replace(part, timestamp=part.timestamp + move) for part in parts]
        free = apart[-1].timestamp + 1
    return apart


type _Key = tuple[str | None, Pairs]
"""A tenant, and labels of rules."""


class _Streams:
    """The streams of one payload: its own, and those that rules make of it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._own: list[Entry] = []
        self.found: dict[_Key, tuple[Stream, list[Entry]]] = {
            (stream.tenant, ()): (stream, self._own)
        }

    def of(self, line: WorkingLine) -> list[Entry]:
        """Give the entries of the stream that a line goes to."""
        if not line.labels and line.tenant is None:
            return self._own
        tenant = self._stream.tenant if line.tenant is None else line.tenant
        key = (tenant, tuple(sorted(line.labels)))
        if key not in self.found:
            labels = tuple(sorted((*self._stream.labels, *line.labels)))
            self.found[key] = (Stream(tenant, labels), [])
        return self.found[key][1]


class _Merging:
    """Puts what rules note beside what all entries share.

    Entries that say the same share one tuple: what comes after is quick to see it.
    """

    def __init__(self, shared: Pairs, settings: Settings) -> None:
        self.shared = shared
        self.settings = settings
        self._taken = {name for name, _ in shared}
        self._known: dict[Pairs, Pairs] = {(): shared}

    def known(self, notes: Pairs) -> Pairs:
        """Give the metadata of notes, made once."""
        merged = self._known.get(notes)
        if merged is None:
            merged = self._known[notes] = self.metadata(notes)
        return merged

    def metadata(self, notes: Pairs) -> Pairs:
        """Make the metadata of notes; of a name, the first note counts."""
        if not self.settings.structured_metadata or not notes:
            return self.shared
        merged = self.shared + notes
        if len(dict(merged)) < len(merged) or len(notes) > _MOST_NOTES:
            merged = self.shared + self._settled(notes)
        return tuple(sorted(merged))

    def _settled(self, notes: Pairs) -> Pairs:
        settled: dict[str, str] = {}
        for name, value in notes:
            if (name, value) not in self.shared:
                settled.setdefault(f"rule_{name}" if name in self._taken else name, value)
        return tuple(settled.items())[:_MOST_NOTES]


def offsets(events: list[LogEvent]) -> list[int]:
    """Give each event's place within its millisecond, in ns, as a pure function of its id.

    An id of CloudWatch Logs is 56 digits: the event's ms, then 64 bits of ingestion ms, 64 random
    bits of the PutLogEvents call, and 16 bits of index in it (undocumented, seen on real ids). So
    the events of a call keep their order, calls are spread, and a redelivery falls on the same
    nanosecond, where Loki folds it. Places are 16 ns apart, to leave room for the parts of a long
    line; a call has at most 10,000 events.

    The last 16 digits tell both the index and where the call goes, as 10^16 is 2^16 x 5^16: index
    and number of the call, modulo 5^16, are what they are for the whole id. Ids of another shape,
    which the first and the last event show, have their ordinal in the payload for a place.
    """
    if events and _is_aws_id(events[0]) and _is_aws_id(events[-1]):
        with suppress(TypeError, ValueError):
            # One list after the other: values that are made and dropped in turns take longer.
            digits = [*map(_low_digits, [*map(_id, events)])]
            lows = [*map(int, digits)]
            return [(low >> 16) % _SPREAD + (low & 0xFFFF) % _CALL * _PARTS for low in lows]
    return [min(ordinal * _PARTS, _MS - _PARTS) for ordinal in range(len(events))]


def _is_aws_id(event: LogEvent) -> bool:
    match event.id:
        case str(digits) if len(digits) == _ID_DIGITS and digits.isdecimal():
            return 0 < int(digits) >> 144 == event.timestamp
        case _:
            return False


def _long(event: LogEvent, line: str, when: int, shared: Pairs, settings: Settings) -> list[Entry]:
    limit = settings.max_line_bytes
    match settings.long_lines:
        case "truncate":
            return [Entry(when, _truncated(line, limit), shared, event)]
        case "split":
            parts = [*_split(line.encode(), limit)]
            return [
                Entry(when + number, part, _numbered(shared, number + 1, len(parts)), event)
                if settings.structured_metadata
                else Entry(when + number, part, (), event)
                for number, part in enumerate(parts)
            ]


def _numbered(shared: Pairs, number: int, count: int) -> Pairs:
    return tuple(sorted((*shared, ("part", f"{number}/{count}"))))


def _split(encoded: bytes, limit: int) -> Iterator[str]:
    start = 0
    while start < len(encoded):
        end = min(start + limit, len(encoded))
        # Step back from the middle of a character.
        while end < len(encoded) and encoded[end] & _TOP_BITS == _CONTINUATION:
            end -= 1
        yield encoded[start:end].decode()
        start = end


def _truncated(line: str, limit: int) -> str:
    marker = f"… [truncated from {len(line.encode())} bytes]"
    return next(_split(line.encode(), limit - len(marker.encode()))) + marker
