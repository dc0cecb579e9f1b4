"""From batches to outcomes: push, judge the answer, and do what it asks for.

Every entry of every batch ends in exactly one outcome. `judge` decides what an answer means. This
file does what follows from it: wait and try again, halve the batch, send it to late streams, leave
structured metadata out, read the secret again, or give up.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import Batch, Entry
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.judge import (
    Accepted,
    Busy,
    Complaint,
    Denied,
    MetadataRefused,
    Misconfigured,
    Refused,
    TooFarBehind,
    TooLarge,
    judge,
)
from loki_shipper.shipper.delivery.late import as_late, is_late, split_late
from loki_shipper.shipper.delivery.outcome import Deferred, Delivered, Errored, Outcome, Rejected

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_SHORTEST_TRY = 0.5
"""Seconds: with less than this left, a push is not begun."""

_SECOND = 1_000_000_000
_MS = 1_000_000
_DEFERRED = 10 * 60 * _SECOND
"""Loki's default `creation_grace_period`: how far ahead of its clock an entry may be."""

_FURTHEST_AHEAD = 24 * 3600 * _SECOND
"""CloudWatch Logs takes events of up to two hours ahead; what is beyond a day is a mistake."""


class DeliveryEffects(Struct, frozen=True):
    """The effects that delivering needs.

    `send` pushes a batch and may take `remaining()` seconds: what is left of the invocation, less
    what its end needs. `now` is the time in ns since 1970. `renew` reads the credentials again and
    returns False if they are the same. `plain` holds the tenants that take no structured metadata,
    and is kept between invocations. `late_minutes` is how long a late stream is, in minutes.
    `closed` returns why nothing is to be sent to a tenant for now, or None. `answered` hears of
    each tenant whether Loki dealt with a batch of it (None), or why the batch was given up.
    """

    send: Callable[[Batch], Answer | NoAnswer]
    remaining: Callable[[], float]
    now: Callable[[], int]
    sleep: Callable[[float], None]
    jitter: Callable[[float], float]
    renew: Callable[[], bool]
    plain: set[str | None]
    late_minutes: int
    closed: Callable[[str | None], str | None] = lambda _: None
    answered: Callable[[str | None, str | None], None] = lambda _tenant, _reason: None


class _Piece(Struct, frozen=True):
    """A batch on its way, and how often just this one was turned away."""

    batch: Batch
    tries: int = 0


type _Step = tuple[list[Outcome], list[_Piece]]
"""What is settled, and what is still to be sent."""


def deliver(batches: Iterable[Batch], sink: DeliveryEffects) -> Iterator[Outcome]:
    """Push each batch; the failure of one does not keep the others from being tried."""
    invocation = _Delivery(sink)
    for batch in batches:
        yield from invocation.deliver(batch)


class _Delivery:
    """What one invocation learns while it delivers."""

    def __init__(self, sink: DeliveryEffects) -> None:
        self._sink = sink
        self._failures = 0
        self._renewed = False

    def deliver(self, batch: Batch) -> Iterator[Outcome]:
        todo = [_Piece(batch)]
        while todo:
            piece = todo.pop()
            outcomes, more = self._step(piece)
            yield from outcomes
            match outcomes:
                case [Errored(reason=reason)]:
                    # The rest of the stream is given up with it; another stream may fare better.
                    stream = piece.batch.stream
                    rest = [left.batch for left in todo if left.batch.stream == stream]
                    yield from (Errored(left.entries, reason) for left in rest)
                    todo = [left for left in todo if left.batch.stream != stream]
            todo.extend(reversed(more))

    def _step(self, piece: _Piece) -> _Step:
        sink, tenant = self._sink, piece.batch.stream.tenant
        if sink.remaining() < _SHORTEST_TRY:
            return [Errored(piece.batch.entries, "out_of_time")], []
        if (why := sink.closed(tenant)) is not None:
            return [Errored(piece.batch.entries, why)], []
        # Here and not once for all, as waiting makes entries late.
        first, *others = split_late(piece.batch, now=sink.now(), minutes=sink.late_minutes)
        if others:
            return [], [replace(piece, batch=each) for each in (first, *others)]
        return self._send(replace(piece, batch=first))

    def _send(self, piece: _Piece) -> _Step:
        sink, batch = self._sink, piece.batch
        if batch.stream.tenant in sink.plain:
            batch = _without_metadata(batch)
        verdict = judge(sink.send(batch))
        if not isinstance(verdict, Busy | Denied | Misconfigured):
            self._failures = 0
            sink.answered(batch.stream.tenant, None)
        match verdict:
            case Accepted():
                return [Delivered(batch.entries, late=is_late(batch.stream))], []
            case Refused():
                return _refused(batch, verdict, sink.now())
            case TooFarBehind():
                return _behind(batch, verdict, sink)
            case MetadataRefused():
                return self._without_metadata(piece)
            case TooLarge():
                return _halved(piece) or ([Rejected(batch.entries, "too_large")], [])
            case Busy():
                return self._wait(piece, verdict)
            case Denied():
                return self._renew(piece)
            case Misconfigured(reason=reason):
                return self._give_up(piece, reason)
            case _:
                assert_never(verdict)

    def _give_up(self, piece: _Piece, reason: str) -> _Step:
        self._sink.answered(piece.batch.stream.tenant, reason)
        return [Errored(piece.batch.entries, reason)], []

    def _wait(self, piece: _Piece, busy: Busy) -> _Step:
        self._failures += 1
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._failures)
        wait = self._sink.jitter(longest) if busy.retry_after is None else busy.retry_after
        if self._failures >= busy.max_attempts or wait + _SHORTEST_TRY > self._sink.remaining():
            return self._give_up(piece, busy.reason)
        self._sink.sleep(wait)
        again = replace(piece, tries=piece.tries + 1)
        # The same bytes once more, then smaller ones: a rate limit may let through half.
        return (_halved(again) if piece.tries else None) or ([], [again])

    def _renew(self, piece: _Piece) -> _Step:
        if not self._renewed:
            self._renewed = True
            if self._sink.renew():
                return [], [piece]
        return self._give_up(piece, "denied")

    def _without_metadata(self, piece: _Piece) -> _Step:
        tenant = piece.batch.stream.tenant
        if tenant in self._sink.plain:
            return [Rejected(piece.batch.entries, "metadata")], []
        self._sink.plain.add(tenant)
        return [], [piece]


def _refused(batch: Batch, verdict: Refused, now: int) -> _Step:
    """Find the entries that Loki refused: it holds the rest of the batch."""
    rest: list[Entry] = []
    refused: dict[str, list[Entry]] = {}
    for entry in batch.entries:
        complaint = next((c for c in verdict.complaints if _concerns(c, entry)), None)
        if complaint is None:
            rest.append(entry)
        else:
            refused.setdefault(complaint.reason, []).append(entry)
    if not refused:
        # Loki refused some, and we cannot tell which: better kept once too often than lost.
        return _refusals(batch.entries, verdict.complaints[0].reason, now), []
    outcomes = [
        outcome
        for reason, entries in refused.items()
        for outcome in _refusals(entries, reason, now)
    ]
    if verdict.whole or not rest:
        delivered = [Delivered(rest, late=is_late(batch.stream))] if rest else []
        return [*outcomes, *delivered], []
    # Only a push of the rest tells what the end of the answer would have said.
    return outcomes, [_Piece(Batch(batch.stream, rest))]


def _refusals(entries: Sequence[Entry], reason: str, now: int) -> list[Outcome]:
    if reason != "too_new":
        return [Rejected(entries, reason)]
    due: dict[int | None, list[Entry]] = {}
    for entry in entries:
        is_ahead = -_DEFERRED < entry.timestamp - now < _FURTHEST_AHEAD
        due.setdefault(_due(entry, now) if is_ahead else None, []).append(entry)
    return [
        Rejected(some, reason) if when is None else Deferred(some, reason, when)
        for when, some in due.items()
    ]


def _due(entry: Entry, now: int) -> int:
    """Give the time, in ms since 1970, from which Loki takes an entry that is ahead of the clock.

    Entries of the same ten minutes are due together, when these ten minutes begin; where they have
    begun, Loki allows less than its default, and they are due when the ten minutes are over.
    """
    begin = entry.timestamp // _DEFERRED * _DEFERRED
    return (begin if begin > now else begin + _DEFERRED) // _MS


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


def _behind(batch: Batch, verdict: TooFarBehind, sink: DeliveryEffects) -> _Step:
    """Send the entries that their stream no longer takes to its late siblings."""
    ignored, rest = _ignored(batch.entries, verdict)
    outcomes: list[Outcome] = []
    pieces: list[_Piece] = []
    if is_late(batch.stream):
        outcomes = [Rejected(ignored, "too_far_behind")] if ignored else []
    else:
        late = as_late(Batch(batch.stream, ignored), now=sink.now(), minutes=sink.late_minutes)
        pieces = [_Piece(each) for each in late]
    if verdict.total == len(batch.entries):
        delivered = [Delivered(rest, late=is_late(batch.stream))] if rest else []
        return [*outcomes, *delivered], pieces
    # Loki refused others before its ingester saw them, and this answer does not say why: only a
    # push of the rest tells. Loki keeps one copy of what it holds already.
    return outcomes, [*pieces, *([_Piece(Batch(batch.stream, rest))] if rest else [])]


def _ignored(
    entries: Sequence[Entry], verdict: TooFarBehind
) -> tuple[Sequence[Entry], Sequence[Entry]]:
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


def _without_metadata(batch: Batch) -> Batch:
    return Batch(batch.stream, [replace(entry, metadata=()) for entry in batch.entries])
