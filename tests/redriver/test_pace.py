"""How fast waiting lines are pushed."""

import pytest

from loki_shipper.model import Batch, Entry, LogEvent, Pairs, Stream
from loki_shipper.redriver.pace import STREAM_RATE, PushPace
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer

STORED = Answer(204)
LIMITED = Answer(429)


class PacedLoki:
    """A clock that only sleeping moves, and a Loki that takes so many bytes a second."""

    def __init__(self, limit: float = float("inf"), workers: int = 1) -> None:
        self.now = 0.0
        self.seconds = 10_000.0
        self.limit = limit
        self.tokens = limit
        self.refilled = 0.0
        self.pushed: list[tuple[float, int]] = []
        self.refused = 0
        self.pace = PushPace(
            self.send,
            workers=workers,
            clock=lambda: self.now,
            sleep=self.sleep,
            remaining=lambda: self.seconds - self.now,
        )

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def send(self, batch: Batch) -> Answer:
        size = sum(map(as_loki_counts, batch.entries))
        self.tokens = min(self.limit, self.tokens + (self.now - self.refilled) * self.limit)
        self.refilled = self.now
        if size > self.tokens:
            self.refused += 1
            return LIMITED
        self.tokens -= size
        self.pushed.append((self.now, size))
        return STORED

    @property
    def rate(self) -> float:
        return sum(size for _, size in self.pushed) / self.now


def as_loki_counts(entry: Entry) -> int:
    """Give an entry's size as Loki's limits count it (EntryTotalSize in its pkg/util)."""
    return len(entry.line.encode()) + sum(
        len(text.encode()) for pair in entry.metadata for text in pair
    )


def batch(
    stream: str = "a", tenant: str = "t", size: int = 100_000, *, metadata: Pairs = ()
) -> Batch:
    entry = Entry(0, "x" * size, metadata, LogEvent("", 0, ""))
    return Batch(Stream(tenant, (("app", stream),)), [entry])


@pytest.mark.parametrize("workers", [1, 4])
def test_one_stream_stays_below_the_rate_at_which_loki_shards_it(workers: int) -> None:
    loki = PacedLoki(workers=workers)
    for _ in range(400):
        assert loki.pace(batch()) == STORED
    assert loki.rate == pytest.approx(STREAM_RATE / workers, rel=0.02)


@pytest.mark.parametrize(
    "one",
    [
        batch(size=40_000, metadata=(("log_stream", "é" * 29_995),)),
        Batch(batch().stream, [Entry(0, "é" * 50_000, (), LogEvent("", 0, ""))]),
    ],
    ids=["metadata", "characters"],
)
def test_the_rate_is_in_bytes_as_loki_counts_them(one: Batch) -> None:
    loki = PacedLoki()
    for _ in range(400):
        loki.pace(one)
    assert loki.rate == pytest.approx(STREAM_RATE, rel=0.02)


def test_many_streams_may_have_more_together() -> None:
    loki = PacedLoki()
    for number in range(2_000):
        loki.pace(batch(str(number % 50)))
    assert loki.rate > 5 * STREAM_RATE


def test_a_429_slows_a_tenant_down_to_what_loki_lets_through() -> None:
    loki = PacedLoki(limit=500_000)
    for number in range(2_000):
        loki.pace(batch(str(number % 50), size=20_000))
    assert 0.6 * 500_000 < loki.rate <= 500_000 * 1.05
    assert loki.refused < 200


def test_it_does_not_slow_others_down() -> None:
    loki = PacedLoki()
    for _ in range(20):
        loki.pace(batch("slow", "limited", size=1))
        loki.pace._rates["limited"] = 20_000
    before = loki.now
    for number in range(20):
        loki.pace(batch(str(number), "other"))
    assert loki.now - before < 1.1


def test_a_batch_that_had_to_wait_for_longer_than_the_run_is_not_pushed() -> None:
    loki = PacedLoki()
    loki.seconds = 5.0
    loki.pace(batch(size=10_000_000))
    assert loki.pace(batch()) == NoAnswer("out_of_time")
    assert len(loki.pushed) == 1
