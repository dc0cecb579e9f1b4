"""From batches to outcomes: push, judge the answer, and do what it asks for.

Every entry of every batch ends in exactly one outcome. What an answer means is decided in `judge`;
here is what follows from it: wait and try again, halve, send to the late stream, leave structured
metadata out, read the secret again, or give up.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import Batch, Entry, Stream
from loki_shipper.settings import LATE
from loki_shipper.shipper.answer import Answer, NoAnswer
from loki_shipper.shipper.judge import (
    Busy,
    Complaint,
    Denied,
    MetadataRefused,
    Misconfigured,
    Refused,
    Stored,
    TooFarBehind,
    TooLarge,
    judge,
)
from loki_shipper.shipper.outcome import Delivered, Errored, Outcome, Rejected

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_SHORTEST_TRY = 0.5
"""Seconds: with less than this left, a push is not begun."""

_SECOND = 1_000_000_000


class Sink(Struct, frozen=True):
    """What delivering does to the world; `plain` is remembered for as long as the sandbox lives.

    `send` pushes a batch and may take `remaining()` seconds, which is what is left of the
    invocation less what its end needs. `renew` reads the credentials again, False if there are
    none to read. `plain` holds the tenants that take no structured metadata.
    """

    send: Callable[[Batch], Answer | NoAnswer]
    remaining: Callable[[], float]
    sleep: Callable[[float], None]
    jitter: Callable[[float], float]
    renew: Callable[[], bool]
    plain: set[str | None]


class _Piece(Struct, frozen=True):
    """A batch on its way, and how often just this one was turned away."""

    batch: Batch
    tries: int = 0


type _Step = tuple[list[Outcome], list[_Piece]]
"""What is settled, and what is still to be sent."""


def deliver(batches: Iterable[Batch], sink: Sink) -> Iterator[Outcome]:
    """Push each batch; the failure of one does not keep the others from being tried."""
    invocation = _Invocation(sink)
    for batch in batches:
        yield from invocation.deliver(batch)


class _Invocation:
    """What one invocation learns while it delivers."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._failures = 0
        self._renewed = False

    def deliver(self, batch: Batch) -> Iterator[Outcome]:
        todo = [_Piece(batch)]
        while todo:
            outcomes, more = self._step(todo.pop())
            yield from outcomes
            match outcomes:
                case [Errored(reason=reason)]:
                    # The pieces of one batch share its fate; another batch may fare better.
                    yield from (Errored(left.batch.entries, reason) for left in todo)
                    return
            todo.extend(reversed(more))

    def _step(self, piece: _Piece) -> _Step:
        if self._sink.remaining() < _SHORTEST_TRY:
            return [Errored(piece.batch.entries, "out_of_time")], []
        batch = piece.batch
        if batch.stream.tenant in self._sink.plain:
            batch = _without_metadata(batch)
        verdict = judge(self._sink.send(batch))
        if not isinstance(verdict, Busy | Denied | Misconfigured):
            self._failures = 0
        match verdict:
            case Stored():
                return [Delivered(batch.entries, late=_is_late(batch.stream))], []
            case Refused():
                return _refused(batch, verdict)
            case TooFarBehind():
                return _behind(batch, verdict)
            case MetadataRefused():
                return self._without_metadata(piece)
            case TooLarge():
                return _halved(piece) or ([Rejected(batch.entries, "too_large")], [])
            case Busy():
                return self._wait(piece, verdict)
            case Denied():
                return self._renew(piece)
            case Misconfigured(reason=reason):
                return [Errored(batch.entries, reason)], []
            case _:
                assert_never(verdict)

    def _wait(self, piece: _Piece, busy: Busy) -> _Step:
        self._failures += 1
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._failures)
        wait = self._sink.jitter(longest) if busy.retry_after is None else busy.retry_after
        if self._failures >= busy.patience or wait + _SHORTEST_TRY > self._sink.remaining():
            return [Errored(piece.batch.entries, busy.reason)], []
        self._sink.sleep(wait)
        again = replace(piece, tries=piece.tries + 1)
        # The same bytes once more, then smaller ones: a rate limit may let through half.
        return (_halved(again) if piece.tries else None) or ([], [again])

    def _renew(self, piece: _Piece) -> _Step:
        if not self._renewed:
            self._renewed = True
            if self._sink.renew():
                return [], [piece]
        return [Errored(piece.batch.entries, "denied")], []

    def _without_metadata(self, piece: _Piece) -> _Step:
        tenant = piece.batch.stream.tenant
        if tenant in self._sink.plain:
            return [Rejected(piece.batch.entries, "metadata")], []
        self._sink.plain.add(tenant)
        return [], [piece]


def _refused(batch: Batch, verdict: Refused) -> _Step:
    """Sort out whom Loki meant: it holds the rest of the batch."""
    rest: list[Entry] = []
    refused: dict[str, list[Entry]] = {}
    for entry in batch.entries:
        complaint = next((c for c in verdict.complaints if _concerns(c, entry)), None)
        if complaint is None:
            rest.append(entry)
        else:
            refused.setdefault(complaint.reason, []).append(entry)
    if not refused:
        # Loki refused somebody, and we cannot tell whom: better kept once too often than lost.
        return [Rejected(batch.entries, verdict.complaints[0].reason)], []
    outcomes: list[Outcome] = [Rejected(entries, reason) for reason, entries in refused.items()]
    if verdict.whole or not rest:
        delivered = [Delivered(rest, late=_is_late(batch.stream))] if rest else []
        return [*outcomes, *delivered], []
    # Only a push of the rest tells what the end of the answer would have said.
    return outcomes, [_Piece(Batch(batch.stream, rest))]


def _concerns(complaint: Complaint, entry: Entry) -> bool:
    match complaint:
        case Complaint(before=float(before)):
            return entry.timestamp < before * _SECOND
        case Complaint(since=float(since)):
            return entry.timestamp >= since * _SECOND
        case Complaint(longer=int(longer)):
            return len(entry.line.encode()) > longer
        case _:
            return True


def _behind(batch: Batch, verdict: TooFarBehind) -> _Step:
    """Send what fell out of the stream's window to its late sibling, which has its own."""
    ignored, rest = _ignored(batch.entries, verdict)
    if _is_late(batch.stream):
        outcomes: list[Outcome] = [Rejected(ignored, "too_far_behind")] if ignored else []
        pieces = []
    else:
        outcomes = []
        pieces = [_Piece(Batch(_late(batch.stream), ignored))] if ignored else []
    if verdict.total == len(batch.entries):
        delivered = [Delivered(rest, late=_is_late(batch.stream))] if rest else []
        return [*outcomes, *delivered], pieces
    # Loki turned away others before its ingester saw them, and this answer hides why: only a
    # push of the rest tells. What is stored already folds.
    return outcomes, [*pieces, *([_Piece(Batch(batch.stream, rest))] if rest else [])]


def _ignored(entries: list[Entry], verdict: TooFarBehind) -> tuple[list[Entry], list[Entry]]:
    if verdict.ignored is not None and verdict.total == len(entries):
        return entries[: verdict.ignored], entries[verdict.ignored :]
    if verdict.cutoff is None:
        return entries, []
    # Loki prints whole seconds.
    cutoff = (verdict.cutoff + 1) * _SECOND
    rest = [entry for entry in entries if entry.timestamp >= cutoff]
    # Each answer must set some entries aside, or this would never end.
    return (entries[: -len(rest) or None], rest) if len(rest) < len(entries) else (entries, [])


def _halved(piece: _Piece) -> _Step | None:
    stream, entries = piece.batch.stream, piece.batch.entries
    middle = len(entries) // 2
    if not middle:
        return None
    halves = (entries[:middle], entries[middle:])
    return [], [_Piece(Batch(stream, half), piece.tries) for half in halves]


def _is_late(stream: Stream) -> bool:
    return (LATE, "true") in stream.labels


def _late(stream: Stream) -> Stream:
    return Stream(stream.tenant, tuple(sorted((*stream.labels, (LATE, "true")))))


def _without_metadata(batch: Batch) -> Batch:
    return Batch(batch.stream, [replace(entry, metadata=()) for entry in batch.entries])
