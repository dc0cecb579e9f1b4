"""Pushes batches, and acts on Loki's answers until each entry has exactly one outcome.

`judge` decides what an answer means. This module acts on it: wait and retry, halve the batch, send
entries to late streams, leave structured metadata out, read the credentials again, or give up.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from loki_shipper.model import Batch, Entry
from loki_shipper.shipper.delivery.answer import OUT_OF_TIME, Answer, NoAnswer
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
"""Seconds that must remain to begin a push."""

_SECOND = 1_000_000_000
_MS = 1_000_000
_GRACE_PERIOD = 10 * 60 * _SECOND
"""Loki's default `creation_grace_period`: how far ahead of its clock an entry may be."""

_FURTHEST_AHEAD = 24 * 3600 * _SECOND
"""CloudWatch Logs takes events up to two hours ahead; a time more than a day ahead is wrong."""


class DeliveryEffects(Struct, frozen=True):
    """The effects that `deliver` needs.

    `send` pushes a batch. `remaining` is the time left for pushes, in seconds. `now` is the time in
    ns since 1970. `renew` reads the credentials again; False: they have not changed.
    `tenants_without_metadata` are the tenants that take no structured metadata; `deliver` adds to
    it, and it lives as long as the execution environment. `late_minutes` is the time span of a late
    stream. `closed_reason` gives the reason to send nothing to a tenant now, or None. `on_answer`
    is called with a tenant and None when Loki has processed a batch of the tenant, or with the
    reason for giving the batch up.
    """

    send: Callable[[Batch], Answer | NoAnswer]
    remaining: Callable[[], float]
    now: Callable[[], int]
    sleep: Callable[[float], None]
    jitter: Callable[[float], float]
    renew: Callable[[], bool]
    tenants_without_metadata: set[str | None]
    late_minutes: int
    closed_reason: Callable[[str | None], str | None] = lambda _: None
    on_answer: Callable[[str | None, str | None], None] = lambda _tenant, _reason: None


class _Piece(Struct, frozen=True):
    """A batch, or a part of one, and how often it failed."""

    batch: Batch
    tries: int = 0


type _Step = tuple[list[Outcome], list[_Piece]]
"""The outcomes so far, and the pieces still to send."""


def deliver(batches: Iterable[Batch], effects: DeliveryEffects) -> Iterator[Outcome]:
    """Push each batch, also after another one has failed, and give the outcomes."""
    delivery = _Delivery(effects)
    for batch in batches:
        yield from delivery.deliver(batch)


class _Delivery:
    """The delivery of one invocation: failures in a row, and whether credentials were renewed."""

    def __init__(self, effects: DeliveryEffects) -> None:
        self._effects = effects
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
                    # Give up the other pieces of this stream too. Other streams may succeed.
                    stream = piece.batch.stream
                    rest = [other.batch for other in todo if other.batch.stream == stream]
                    yield from (Errored(other.entries, reason) for other in rest)
                    todo = [other for other in todo if other.batch.stream != stream]
            todo.extend(reversed(more))

    def _step(self, piece: _Piece) -> _Step:
        effects, tenant = self._effects, piece.batch.stream.tenant
        if effects.remaining() < _SHORTEST_TRY:
            return [Errored(piece.batch.entries, OUT_OF_TIME)], []
        if (reason := effects.closed_reason(tenant)) is not None:
            return [Errored(piece.batch.entries, reason)], []
        # For each piece, as entries may become late during a wait.
        first, *others = split_late(piece.batch, now=effects.now(), minutes=effects.late_minutes)
        if others:
            return [], [replace(piece, batch=each) for each in (first, *others)]
        return self._send(replace(piece, batch=first))

    def _send(self, piece: _Piece) -> _Step:
        effects, batch = self._effects, piece.batch
        if batch.stream.tenant in effects.tenants_without_metadata:
            batch = _without_metadata(batch)
        verdict = judge(effects.send(batch))
        if not isinstance(verdict, Busy | Denied | Misconfigured):
            self._failures = 0
            effects.on_answer(batch.stream.tenant, None)
        match verdict:
            case Accepted():
                return [Delivered(batch.entries, late=is_late(batch.stream))], []
            case Refused():
                return _refused(batch, verdict, effects.now())
            case TooFarBehind():
                return _too_far_behind(batch, verdict, effects)
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
        self._effects.on_answer(piece.batch.stream.tenant, reason)
        return [Errored(piece.batch.entries, reason)], []

    def _wait(self, piece: _Piece, busy: Busy) -> _Step:
        self._failures += 1
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2**self._failures)
        wait = self._effects.jitter(longest) if busy.retry_after is None else busy.retry_after
        if self._failures >= busy.max_attempts or wait + _SHORTEST_TRY > self._effects.remaining():
            return self._give_up(piece, busy.reason)
        self._effects.sleep(wait)
        again = replace(piece, tries=piece.tries + 1)
        # First retry the same bytes, as Loki may hold them. Then halve: a rate limit may take less.
        return (_halved(again) if piece.tries else None) or ([], [again])

    def _renew(self, piece: _Piece) -> _Step:
        if not self._renewed:
            self._renewed = True
            if self._effects.renew():
                return [], [piece]
        return self._give_up(piece, "denied")

    def _without_metadata(self, piece: _Piece) -> _Step:
        tenant = piece.batch.stream.tenant
        if tenant in self._effects.tenants_without_metadata:
            return [Rejected(piece.batch.entries, "metadata")], []
        self._effects.tenants_without_metadata.add(tenant)
        return [], [piece]


def _refused(batch: Batch, verdict: Refused, now: int) -> _Step:
    """Divide a batch into the entries that Loki refused and the others, which it holds."""
    rest: list[Entry] = []
    refused: dict[str, list[Entry]] = {}
    for entry in batch.entries:
        complaint = next((c for c in verdict.complaints if _concerns(c, entry)), None)
        if complaint is None:
            rest.append(entry)
        else:
            refused.setdefault(complaint.reason, []).append(entry)
    if not refused:
        # Loki refused unknown entries. A duplicate in the bucket is better than a lost line.
        return _refusals(batch.entries, verdict.complaints[0].reason, now), []
    outcomes = [
        outcome
        for reason, entries in refused.items()
        for outcome in _refusals(entries, reason, now)
    ]
    if verdict.complete or not rest:
        delivered = [Delivered(rest, late=is_late(batch.stream))] if rest else []
        return [*outcomes, *delivered], []
    # The answer was truncated. Push the rest again to see what else Loki refuses.
    return outcomes, [_Piece(Batch(batch.stream, rest))]


def _refusals(entries: Sequence[Entry], reason: str, now: int) -> list[Outcome]:
    if reason != "too_new":
        return [Rejected(entries, reason)]
    due: dict[int | None, list[Entry]] = {}
    for entry in entries:
        is_ahead = -_GRACE_PERIOD < entry.timestamp - now < _FURTHEST_AHEAD
        due.setdefault(_due(entry, now) if is_ahead else None, []).append(entry)
    return [
        Rejected(some, reason) if when is None else Deferred(some, reason, when)
        for when, some in due.items()
    ]


def _due(entry: Entry, now: int) -> int:
    """Give the time, in ms since 1970, from which Loki takes an entry that is ahead of the clock.

    Entries of the same ten minutes are due together, at the begin of these ten minutes. If that is
    past, Loki's grace period is shorter than the default, and they are due at the end.
    """
    begin = entry.timestamp // _GRACE_PERIOD * _GRACE_PERIOD
    return (begin if begin > now else begin + _GRACE_PERIOD) // _MS


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


def _too_far_behind(batch: Batch, verdict: TooFarBehind, effects: DeliveryEffects) -> _Step:
    """Send the entries that are too old for their stream to late streams."""
    ignored, rest = _ignored(batch.entries, verdict)
    outcomes: list[Outcome] = []
    pieces: list[_Piece] = []
    if is_late(batch.stream):
        outcomes = [Rejected(ignored, "too_far_behind")] if ignored else []
    else:
        late = as_late(
            Batch(batch.stream, ignored), now=effects.now(), minutes=effects.late_minutes
        )
        pieces = [_Piece(each) for each in late]
    if verdict.total == len(batch.entries):
        delivered = [Delivered(rest, late=is_late(batch.stream))] if rest else []
        return [*outcomes, *delivered], pieces
    # Loki refused other entries before its ingester, and this answer does not say why. So push the
    # rest again: Loki stores no duplicates.
    return outcomes, [*pieces, *([_Piece(Batch(batch.stream, rest))] if rest else [])]


def _ignored(
    entries: Sequence[Entry], verdict: TooFarBehind
) -> tuple[Sequence[Entry], Sequence[Entry]]:
    if verdict.ignored is not None and verdict.total == len(entries):
        return entries[: verdict.ignored], entries[verdict.ignored :]
    if verdict.cutoff is None:
        return entries, []
    # Loki prints complete seconds.
    cutoff = (verdict.cutoff + 1) * _SECOND
    rest = [entry for entry in entries if entry.timestamp >= cutoff]
    # Each answer must remove some entries, or the retries would never end.
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
