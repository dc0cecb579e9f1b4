"""Limits the rate of redriven pushes, so that live lines come first and Loki shards no stream."""

from collections.abc import Callable
from threading import Lock

from loki_shipper.model import Batch, Entry, Stream
from loki_shipper.shipper.delivery.answer import OUT_OF_TIME, Answer, NoAnswer
from loki_shipper.shipper.delivery.batch import size

STREAM_RATE = 1_000_000
"""Bytes a second for one stream, all workers together, as Loki counts them. Stock Loki divides a
stream into shards at 1,536 KB a second (`shard_streams.desired_rate`), and then does not report
the lines that it refuses."""

_FIRST_RATE = 2_000_000
"""The first rate of a tenant, in bytes a second: half of stock Loki's `ingestion_rate_mb`."""

_MIN_RATE = 20_000
_SLOWER = 0.5
_FASTER = 1.05
_TOO_MANY = 429

type PushBatch = Callable[[Batch], Answer | NoAnswer]


class PushPace:
    """Pushes batches at a rate that adapts to Loki's rate limit.

    A 429 halves a tenant's rate, as live lines share the limit. Every other answer raises it by 5%.
    `remaining` is in seconds: a batch that would wait longer is not pushed. Several threads may
    push at a time.
    """

    def __init__(
        self,
        send: PushBatch,
        *,
        workers: int,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        remaining: Callable[[], float],
    ) -> None:
        self._send = send
        self._clock = clock
        self._sleep = sleep
        self._remaining = remaining
        self._stream_rate = STREAM_RATE / workers
        self._first_rate = _FIRST_RATE / workers
        self._rates: dict[str | None, float] = {}
        self._stream_turns: dict[Stream, float] = {}
        self._tenant_turns: dict[str | None, float] = {}
        self._lock = Lock()

    def __call__(self, batch: Batch) -> Answer | NoAnswer:
        """Push a batch, after waiting for its turn."""
        with self._lock:
            wait = self._take_turn(batch)
        if wait is None:
            return NoAnswer(OUT_OF_TIME)
        if wait > 0:
            self._sleep(wait)
        answer = self._send(batch)
        is_limited = isinstance(answer, Answer) and answer.status == _TOO_MANY
        with self._lock:
            self._adapt(batch.stream.tenant, _SLOWER if is_limited else _FASTER)
        return answer

    def _take_turn(self, batch: Batch) -> float | None:
        """Give the seconds until the turn of a batch; None if that is too long."""
        stream, tenant = batch.stream, batch.stream.tenant
        now = self._clock()
        turn = max(now, self._stream_turns.get(stream, 0.0), self._tenant_turns.get(tenant, 0.0))
        if turn - now > self._remaining():
            return None
        batch_bytes = sum(map(_size, batch.entries))
        self._stream_turns[stream] = turn + batch_bytes / self._stream_rate
        self._tenant_turns[tenant] = turn + batch_bytes / self._rate(tenant)
        return turn - now

    def _rate(self, tenant: str | None) -> float:
        return self._rates.get(tenant, self._first_rate)

    def _adapt(self, tenant: str | None, factor: float) -> None:
        self._rates[tenant] = max(_MIN_RATE, self._rate(tenant) * factor)


def _size(entry: Entry) -> int:
    """Give an entry's bytes as Loki's limits count them: its line and its structured metadata."""
    return size(entry.line) + sum(size(name) + size(value) for name, value in entry.metadata)
