"""From log events to entries: what a line says, when, and with which structured metadata."""

from collections.abc import Iterator
from operator import attrgetter

from msgspec import Struct

from loki_shipper.model import Entry, LogData, LogEvent, Pairs, Stream
from loki_shipper.settings import Settings
from loki_shipper.shipper.interpret import Line, Place, Steps, annotate, interpret, steps
from loki_shipper.shipper.rules import Rules

_MS = 1_000_000
_PARTS = 16
_CALL = 10_000
_SPREAD = _MS - _CALL * _PARTS
_ID_DIGITS = 56
_TOP_BITS, _CONTINUATION = 0xC0, 0x80
"""In UTF-8 each byte of a character but the first is 10xxxxxx."""

_MOST_NOTES = 16
"""At 2 KiB each, half of the structured metadata that Loki takes: no line is refused for them."""


class Transformed(Struct, frozen=True):
    """Entries by stream, in ascending time.

    `dropped` counts log events by the reason or rule that left them out, `matched` how often each
    rule did something.
    """

    streams: list[tuple[Stream, list[Entry]]]
    dropped: dict[str, int]
    matched: dict[str, int] = {}


class Book(Struct, frozen=True):
    """Rules, and which values they have made labels for as long as the sandbox lives."""

    rules: Rules
    label_values: dict[tuple[str, str], set[str]]


def transform(
    data: LogData, stream: Stream, metadata: Pairs, *, book: Book, settings: Settings
) -> Transformed:
    """Turn each log event into an entry, a long one into several, an empty one into none.

    All go to the one stream with the one metadata, but for what the rules of the log group say.
    """
    merging = _Merging(metadata if settings.structured_metadata else (), settings)
    rules = book.rules.of(data.log_group)
    noting = annotate(rules, merging.metadata)
    if rules and noting is None:
        place = Place(dict(stream.labels), settings.max_labels, book.label_values)
        return _sorted_by_rules(data, stream, merging, steps(rules, place))
    shared, limit = merging.shared, settings.max_line_bytes
    metadata = shared
    entries: list[Entry] = []
    empty = noted = 0
    for ordinal, event in enumerate(data.log_events):
        line = event.message.removesuffix("\n")
        when = event.timestamp * _MS + offset(event, ordinal)
        if noting is not None:
            metadata = noting[line.startswith("{")](line)
            noted += metadata is not shared
        # No character takes more than four bytes.
        if len(line) * 4 > limit and len(line.encode()) > limit:
            entries.extend(_long(event, line, when, metadata, settings))
        elif line:
            entries.append(Entry(when, line, metadata, event))
        else:
            empty += 1
    entries.sort(key=attrgetter("timestamp"))
    dropped = {"empty": empty} if empty else {}
    return Transformed([(stream, entries)], dropped, {rules[0].name: noted} if noted else {})


def _sorted_by_rules(
    data: LogData, stream: Stream, merging: "_Merging", steps: Steps
) -> Transformed:
    """Go the long way: a line may change, be left out, or go to a stream of its own."""
    limit, streams = merging.settings.max_line_bytes, _Streams(stream)
    dropped: dict[str, int] = {}
    matched: dict[str, int] = {}
    for ordinal, event in enumerate(data.log_events):
        line = interpret(event, steps, matched)
        text = line.text
        if not text or line.dropped is not None:
            reason = line.dropped or "empty"
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        entries, metadata = streams.of(line), merging.known(line.notes)
        when = line.timestamp * _MS + offset(event, ordinal)
        if len(text) * 4 > limit and len(text.encode()) > limit:
            entries.extend(_long(line.event, text, when, metadata, merging.settings))
        else:
            entries.append(Entry(when, text, metadata, line.event))
    found = [(stream, entries) for stream, entries in streams.found.values() if entries]
    for _, entries in found:
        entries.sort(key=attrgetter("timestamp"))
    return Transformed(found, dropped, matched)


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

    def of(self, line: Line) -> list[Entry]:
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


def offset(event: LogEvent, ordinal: int) -> int:
    """Give an event's place within its millisecond, in ns, as a pure function of its id.

    An id of CloudWatch Logs is 56 digits: the event's ms, then 64 bits of ingestion ms, 64 random
    bits of the PutLogEvents call, and 16 bits of index in it (undocumented, seen on real ids). So
    the events of a call keep their order, calls are spread, and a redelivery falls on the same
    nanosecond, where Loki folds it. Ids of another shape: the ordinal in the payload. Places are
    16 ns apart, to leave room for the parts of a long line; a call has at most 10,000 events.
    """
    number = int(event.id) if _is_aws_id(event.id) else 0
    if number >> 144 != event.timestamp or not number:
        return min(ordinal * _PARTS, _MS - _PARTS)
    return (number >> 16) % _SPREAD + (number & 0xFFFF) % _CALL * _PARTS


def _is_aws_id(event_id: str | int) -> bool:
    return isinstance(event_id, str) and len(event_id) == _ID_DIGITS and event_id.isdecimal()


def _long(
    event: LogEvent, line: str, when: int, shared: Pairs, settings: Settings
) -> Iterator[Entry]:
    limit = settings.max_line_bytes
    match settings.long_lines:
        case "truncate":
            yield Entry(when, _truncated(line, limit), shared, event)
        case "split":
            parts = list(_split(line.encode(), limit))
            for number, part in enumerate(parts, 1):
                numbered = ("part", f"{number}/{len(parts)}")
                metadata = (
                    tuple(sorted((*shared, numbered))) if settings.structured_metadata else ()
                )
                # Beyond 16 they run into the next event's place: Loki holds two lines of one time.
                yield Entry(when + number - 1, part, metadata, event)


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
