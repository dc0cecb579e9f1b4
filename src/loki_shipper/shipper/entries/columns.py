"""The entries of a payload as columns, which most payloads become, at C speed.

Python takes some 50 ns for each step of its interpreter, and an object for each line takes dozens
of steps. So this file never looks at a single line. It keeps a list for each property of all lines,
and `map`, slices, `accumulate` and `join` work on a whole list in one step.

`read` makes columns of log events. It returns None if a line is longer than the limit, because such
a line becomes several entries. `transform` then goes line by line. It also does so if rules do more
than extract metadata.

`Columns` is a sequence of `Entry`. It makes an Entry when somebody asks for it, which happens only
if Loki does not simply take a batch. A slice of columns is columns, so halves and batches stay
quick. Each entry is one log event.

`metadata` is an index into `kinds`, the different tuples of metadata: a payload has thousands of
lines and a handful of levels.

`cut` finds the ends of batches: it sums the entries' sizes, and makes a binary search in the sums
for each batch.

`protobuf` writes entries. Each entry is six pieces of bytes:

    12 <size>                      the entry's tag and length: by size and metadata
    0a <size> 08 <seconds> 10      its time: the same for all entries of a second
    <nanoseconds>                  always five bytes
    12 <size>                      the line's tag and length: by size
    <line>
    <metadata>                     by kind

Pieces of one position are one slice assignment (`pieces[0::6] = ...`), and one `join` makes the
body. The nanoseconds differ from entry to entry, so they are calculated for all entries at once, in
one integer that has 64 bits for each entry. A varint has seven bits a byte, so the bits of a number
move: bits 0 to 6 stay, bits 7 to 13 move by one, bits 14 to 20 by two, and so on. Five masks and
four shifts of the large integer do that for every entry.

`tests/shipper/entries/test_columns.py` compares all of this with simple code that goes line by
line, on any input: the entries, the batches and the bytes are the same.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate, compress, repeat
from operator import add, itemgetter, mul
from struct import unpack
from typing import overload, override

from loki_shipper.model import Entry, LogEvent, Pairs
from loki_shipper.shipper.entries.protobuf import (
    NANOS_BYTES,
    nanos_bytes,
    pairs,
    timestamp_without_nanos,
    varint,
)
from loki_shipper.shipper.rules.extract import HEAD, MetadataExtractors, MetadataRules

_SECOND = 1_000_000_000
_MS = 1_000_000
_PIECES = 6
_LANE_BYTES = 8
_UNKNOWN = -1
_LANES = 1024
"""Numbers in one large integer; zeros fill the last one."""

_FEW = 100
"""With fewer entries, a loop is quicker."""

_head = itemgetter(slice(HEAD))


class Columns(Sequence[Entry]):
    """Entries, ascending in time, by column; see the top of the file."""

    __slots__ = ("events", "kinds", "lines", "metadata", "sizes", "times")

    def __init__(  # noqa: PLR0913, PLR0917 - each is a column
        self,
        times: list[int],
        lines: list[str],
        sizes: list[int],
        metadata: list[int],
        events: list[LogEvent],
        kinds: list[Pairs],
    ) -> None:
        self.times = times
        self.lines = lines
        self.sizes = sizes
        self.metadata = metadata
        self.events = events
        self.kinds = kinds

    @override
    def __len__(self) -> int:
        return len(self.times)

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> "Columns": ...
    @override
    def __getitem__(self, at: int | slice) -> "Entry | Columns":
        if isinstance(at, slice):
            return Columns(
                self.times[at],
                self.lines[at],
                self.sizes[at],
                self.metadata[at],
                self.events[at],
                self.kinds,
            )
        kind = self.kinds[self.metadata[at]]
        return Entry(self.times[at], self.lines[at], kind, self.events[at])

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment] # like a list


def read(
    events: list[LogEvent], offsets: list[int], rules: MetadataRules, limit: int
) -> Columns | None:
    """Return columns of log events, without empty lines; None if a line is above `limit` bytes.

    `offsets` are the events' places in their milliseconds, in ns.
    """
    lines = [*map(str.removesuffix, [event.message for event in events], repeat("\n"))]
    is_ascii = all(map(str.isascii, lines))
    # Lines are encoded batch by batch, so that memory holds no more than one batch twice.
    sizes = [*map(len, lines)] if is_ascii else [len(line.encode()) for line in lines]
    if max(sizes, default=0) > limit:
        return None
    times = [event.timestamp * _MS + offset for event, offset in zip(events, offsets, strict=True)]
    kinds = [rules.shared]
    metadata = [0] * len(lines)
    if rules.extractors is not None:
        metadata = _extracted(lines, rules.extractors, kinds)
    if 0 in sizes:
        events = [*compress(events, sizes)]
        times, lines = [*compress(times, sizes)], [*compress(lines, sizes)]
        metadata = [*compress(metadata, sizes)]
        sizes = [*filter(None, sizes)]
    columns = Columns(times, lines, sizes, metadata, events, kinds)
    return columns if times == sorted(times) else _sorted(columns)


def _extracted(lines: list[str], extractors: MetadataExtractors, kinds: list[Pairs]) -> list[int]:
    """Return each line's metadata as an index into `kinds`, which grows."""
    indexes = {id(kinds[0]): 0}

    def index_of(metadata: Pairs) -> int:
        index = indexes.setdefault(id(metadata), len(kinds))
        if index == len(kinds):
            # `kinds` keeps the tuple alive, so no other one gets its id.
            kinds.append(metadata)
        return index

    heads = [*map(_head, lines)]
    by_head: dict[str, int] = {}
    for head in set(heads):
        metadata = extractors.of_head(head)
        by_head[head] = _UNKNOWN if metadata is None else index_of(metadata)
    found = [*map(by_head.__getitem__, heads)]
    if _UNKNOWN not in by_head.values():
        return found
    of_text, of_json = extractors.of_text, extractors.of_json
    return [
        index
        if index != _UNKNOWN
        else index_of(of_json(line) if line.startswith("{") else of_text(line))
        for line, index in zip(lines, found, strict=True)
    ]


def _sorted(columns: Columns) -> Columns:
    order = sorted(range(len(columns)), key=columns.times.__getitem__)
    return Columns(
        [columns.times[at] for at in order],
        [columns.lines[at] for at in order],
        [columns.sizes[at] for at in order],
        [columns.metadata[at] for at in order],
        [columns.events[at] for at in order],
        columns.kinds,
    )


def cut(
    columns: Columns, extras: Callable[[Pairs], int], head: int, most: int
) -> Iterator[Columns]:
    """Cut columns into batches of at most `most` bytes of protobuf; a larger entry stands alone.

    `head` is the size of the bytes before the entries. `extras` gives the size of an entry with
    some metadata, without its line.
    """
    of_kind = [*map(extras, columns.kinds)]
    sums = [*accumulate(map(add, columns.sizes, map(of_kind.__getitem__, columns.metadata)))]
    start = before = 0
    while start < len(sums):
        end = max(start + 1, bisect_right(sums, most - head + before, start))
        yield columns[start:end] if end - start < len(columns) else columns
        start, before = end, sums[end - 1]


def has_one_width(columns: Columns) -> bool:
    """Return whether all seconds have the same number of bytes, which is so from 1978 on."""
    first, last = columns.times[0], columns.times[-1]
    return len(varint(first // _SECOND)) == len(varint(last // _SECOND))


def protobuf(columns: Columns) -> list[bytes]:
    """Return entries of one width as fields of a stream, in pieces."""
    kinds, count = len(columns.kinds), len(columns)
    # A slice shares the kinds of the whole payload, which has one for each line in some log files.
    written = {kind: pairs(columns.kinds[kind]) for kind in set(columns.metadata)}
    stamps = _stamps(columns.times)
    # One key for each pair of a line's size and its kind of metadata.
    keys = [*map(add, map(mul, columns.sizes, repeat(kinds)), columns.metadata)]
    overhead = len(stamps[0]) + NANOS_BYTES + 1
    tags = {size: b"\x12" + varint(size) for size in set(columns.sizes)}
    heads: dict[int, bytes] = {}
    for key in set(keys):
        size, kind = divmod(key, kinds)
        heads[key] = b"\x12" + varint(overhead + len(tags[size]) - 1 + size + len(written[kind]))
    pieces = [b""] * (_PIECES * count)
    pieces[0::_PIECES] = map(heads.__getitem__, keys)
    pieces[1::_PIECES] = stamps
    pieces[2::_PIECES] = _nanoseconds(columns.times)
    pieces[3::_PIECES] = map(tags.__getitem__, columns.sizes)
    pieces[4::_PIECES] = map(str.encode, columns.lines)
    pieces[5::_PIECES] = map(written.__getitem__, columns.metadata)
    return pieces


def _stamps(times: list[int]) -> list[bytes]:
    """Return the bytes of each time up to its nanoseconds."""
    stamps: list[bytes] = []
    while (start := len(stamps)) < len(times):
        second = times[start] // _SECOND
        end = bisect_left(times, (second + 1) * _SECOND, start)
        stamps += [timestamp_without_nanos(second)] * (end - start)
    return stamps


def _nanoseconds(times: list[int]) -> list[bytes]:
    """Return the nanoseconds of each time as a varint of five bytes."""
    nanos = [time % _SECOND for time in times]
    if len(nanos) < _FEW:
        return [*map(nanos_bytes, nanos)]
    written: list[bytes] = []
    for start in range(0, len(nanos), _LANES):
        lanes = array("Q", nanos[start : start + _LANES])
        lanes.extend(repeat(0, _LANES - len(lanes)))
        written += _unpack(_spread(int.from_bytes(lanes.tobytes(), "little")))
    return written[: len(nanos)]


def _spread(lanes: int) -> bytes:
    """Return the number of up to 35 bits in each lane of 64 bits as a varint of five bytes."""
    moved = _masks()[-1]
    for places, mask in enumerate(_masks()[:-1]):
        moved |= (lanes & mask) << places
    return moved.to_bytes(_LANES * _LANE_BYTES, "little")


@cache
def _masks() -> list[int]:
    """Return a mask for each seven bits of a lane, and the bits that continue a varint."""
    lane = [0x7F << 7 * place for place in range(NANOS_BYTES)] + [0x80808080]
    return [
        int.from_bytes(bits.to_bytes(_LANE_BYTES, "little") * _LANES, "little") for bits in lane
    ]


def _unpack(lanes: bytes) -> tuple[bytes, ...]:
    return unpack("5s3x" * _LANES, lanes)
