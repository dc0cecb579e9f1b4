"""Simulates a month of the redrivers. The redrivers are real; S3, Loki and the schedule are models.

Every effect takes time, as it was measured or as AWS says. Workers run side by side: a worker whose
clock is ahead waits until the others have come as far.
"""

import heapq
import threading
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from loki_shipper.local.sample import invocation_event
from loki_shipper.model import Batch, LogData, LogEvent
from loki_shipper.redriver.bucket import OF_LAMBDA, Bucket, Fault, Share, StoredObject, waiting
from loki_shipper.redriver.cursor import read_cursor, write_cursor
from loki_shipper.redriver.effects import CONCURRENT_LOG_GROUPS, redrive_effects
from loki_shipper.redriver.redrive import redrive
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.pipeline import ShipperDependencies
from loki_shipper.shipper.rules.model import Rules
from tests.redriver.memory import of

if TYPE_CHECKING:
    from loki_shipper.redriver.report import RedriveReport

SECOND = 1_000_000_000
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 11, 1, tzinfo=UTC)

RUN_SECONDS = 290.0
RESERVE = 20.0

GET, LIST, WRITE, PUSH = 0.030, 0.150, 0.060, 0.030
"""Seconds of a request. 16 objects are read at a time, and 1,000 deleted in a request."""

CPU = 0.009
"""Seconds of an object: 1.3 ms of a core (scripts/redrive-rate), of which 256 MB have 0.145."""

PRICES = {"LIST": 5.4e-6, "PUT": 5.4e-6, "GET": 0.43e-6, "DELETE": 0.0}
"""Dollars of a request to S3 in eu-central-1, November 2026."""


class Clocks:
    """The clocks of several workers, of which only the one that is behind moves."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._times: dict[int, float] = {}

    def run(self, start: float, work: Sequence[Callable[["Clock"], None]]) -> None:
        """Run workers side by side from a time on, until all have ended."""
        self._times = dict.fromkeys(range(len(work)), start)
        faults: list[BaseException] = []

        def run(number: int, job: Callable[["Clock"], None]) -> None:
            try:
                self.advance(number, 0.0)
                job(Clock(self, number))
            except BaseException as fault:  # noqa: BLE001 - raised again below
                faults.append(fault)
            finally:
                with self._turn:
                    del self._times[number]
                    self._turn.notify_all()

        if len(work) == 1:
            run(0, work[0])
        else:
            threads = [threading.Thread(target=run, args=each) for each in enumerate(work)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for fault in faults:
            raise fault

    def now(self, number: int) -> float:
        return self._times[number]

    def advance(self, number: int, seconds: float) -> None:
        self.set(number, self._times[number] + seconds)

    def set(self, number: int, time: float) -> None:
        with self._turn:
            self._times[number] = time
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._is_behind(number))

    def _is_behind(self, number: int) -> bool:
        own = self._times[number], number
        return all(own <= (time, other) for other, time in self._times.items())


class Clock(Struct):
    """The clock of one worker, in seconds since the start."""

    clocks: Clocks
    number: int

    def __call__(self) -> float:
        return self.clocks.now(self.number)

    def sleep(self, seconds: float) -> None:
        self.clocks.advance(self.number, seconds)

    def map[T, R](self, function: Callable[[T], R], values: Sequence[T]) -> list[R]:
        """Call a function on several values in as many threads as the redriver has."""
        threads = [self()] * CONCURRENT_LOG_GROUPS
        results = []
        for value in values:
            self.clocks.set(self.number, heapq.heappop(threads))
            results.append(function(value))
            heapq.heappush(threads, self())
        self.clocks.set(self.number, max(threads))
        return results


class Payload(Struct, frozen=True):
    """A payload of one line, with its log group, tenant and time (seconds since the start)."""

    number: int
    tenant: str
    log_group: str
    logged: float
    size: int

    def body(self) -> bytes:
        ms = int((START.timestamp() + self.logged) * 1000)
        line = f"{self.number} ".ljust(self.size, "x")
        data = LogData("DATA_MESSAGE", "1", self.log_group, "s", [LogEvent("", ms, line)])
        return of(invocation_event(data))


class S3:
    """A bucket: objects in the order of keys, under the key that encrypted them."""

    def __init__(self) -> None:
        self._keys: defaultdict[str, list[str]] = defaultdict(list)
        self._objects: dict[str, tuple[Payload | bytes, float, str]] = {}
        self.requests = Counter[str]()
        self.key = "first"
        self.readable = {"first"}
        self.reasons: dict[str, str] = {}

    def put(self, key: str, body: Payload | bytes, at: float) -> None:
        self.requests["PUT"] += 1
        if key not in self._objects:
            keys = self._keys[_folder(key)]
            if keys and key < keys[-1]:
                keys.insert(bisect_right(keys, key), key)
            else:
                keys.append(key)
        self._objects[key] = (body, at, self.key)

    def __len__(self) -> int:
        return len(self._objects)

    def payloads(self, folder: str) -> list[Payload | bytes]:
        return [body for key, (body, _, _) in self._objects.items() if key.startswith(folder)]

    def expire(self, now: float, age: float) -> int:
        """Delete what is older than so many seconds, as the lifecycle rule does."""
        old = [key for key, (_, at, _) in self._objects.items() if now - at > age]
        for key in old:
            self._remove(key)
        return len(old)

    def bucket(self, clock: Clock) -> Bucket:
        def objects(prefix: str, after: str) -> Iterator[StoredObject]:
            keys = self._keys[prefix]
            while True:
                self.requests["LIST"] += 1
                clock.sleep(LIST)
                place = bisect_right(keys, after)
                page = keys[place : place + 1000]
                yield from (self._stored(key) for key in page if key in self._objects)
                if len(page) < 1000:
                    return
                after = page[-1]

        def read(keys: Sequence[str]) -> list[bytes | Fault | None]:
            self.requests["GET"] += len(keys)
            clock.sleep(-(-len(keys) // 16) * GET + len(keys) * CPU)
            return [self._read(key) for key in keys]

        def delete(keys: Sequence[str]) -> dict[str, Fault]:
            if keys:
                self.requests["DELETE"] += -(-len(keys) // 1000)
                clock.sleep(WRITE)
            for key in keys:
                self._remove(key)
            return {}

        def move(key: str, to: str, reason: str) -> Fault | None:
            self.requests["PUT"] += 1
            clock.sleep(WRITE)
            body = self._read(key)
            if isinstance(body, Fault):
                return body
            if key in self._objects:
                self.put(to, self._objects[key][0], clock())
                self.reasons[to] = reason
                self._remove(key)
            return None

        return Bucket(objects, read, delete, move)

    def _stored(self, key: str) -> StoredObject:
        body, at, _ = self._objects[key]
        size = len(body) if isinstance(body, bytes) else 1_000
        return StoredObject(key, size, START + timedelta(seconds=at))

    def _read(self, key: str) -> bytes | Fault | None:
        if key not in self._objects:
            return None
        body, _, encrypted = self._objects[key]
        if encrypted not in self.readable:
            return Fault("AccessDenied")
        return body if isinstance(body, bytes) else body.body()

    def _remove(self, key: str) -> None:
        if self._objects.pop(key, None) is not None:
            keys = self._keys[_folder(key)]
            place = bisect_right(keys, key) - 1
            del keys[place]


def _folder(key: str) -> str:
    return OF_LAMBDA if key.startswith(OF_LAMBDA) else f"{key.partition('/')[0]}/"


class Loki:
    """Holds lines; answers by tenant, by a rate limit a second, and by the window of a stream."""

    def __init__(self, rate: float = float("inf")) -> None:
        self.rate = rate
        self.rates: dict[str, float] = {}
        self.poison: set[int] = set()
        self.refusals: dict[str, Answer | None] = {}
        self.outages: list[tuple[float, float]] = []
        self.held = Counter[int]()
        self.pushes = 0
        self.refused = Counter[int]()
        self.sharded = 0
        self._used: defaultdict[tuple[str | None, int], float] = defaultdict(float)
        self._newest: dict[object, int] = {}
        self._of_stream: defaultdict[tuple[object, int], float] = defaultdict(float)

    def push(self, batch: Batch, clock: Clock) -> Answer | NoAnswer:
        self.pushes += 1
        clock.sleep(PUSH)
        now, tenant = clock(), str(batch.stream.tenant)
        if any(start <= now < end for start, end in self.outages):
            return NoAnswer("no_connection")
        if (refusal := self.refusals.get(tenant)) is not None:
            return refusal
        if not self.poison.isdisjoint(_number(entry.line) for entry in batch.entries):
            return Answer(500, "a fault of Loki's own")
        oldest = int((START.timestamp() + now) * SECOND) - 7 * 24 * 3600 * SECOND
        if batch.entries[0].timestamp < oldest:
            return self._refuse_old(batch, int(now), oldest)
        size = sum(len(entry.line) for entry in batch.entries)
        if not self._fits(tenant, int(now), size):
            self.refused[429] += 1
            return Answer(429, "ingestion rate limit exceeded")
        self._store(batch, int(now), size)
        return Answer(204)

    def _refuse_old(self, batch: Batch, second: int, oldest: int) -> Answer:
        young = [entry for entry in batch.entries if entry.timestamp >= oldest]
        if young:
            self._store(Batch(batch.stream, young), second, sum(len(e.line) for e in young))
        when = datetime.fromtimestamp(oldest // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Answer(400, f"has timestamp too old: x, oldest acceptable timestamp is: {when}")

    def _fits(self, tenant: str, second: int, size: int) -> bool:
        """Take what a token bucket takes: a second's rate, and what the second before left."""
        for name, rate in (("*", self.rate), (tenant, self.rates.get(tenant, float("inf")))):
            left = max(0.0, rate - self._used[name, second - 1])
            if self._used[name, second] + size > rate + min(left, rate / 2):
                return False
        self._used["*", second] += size
        self._used[tenant, second] += size
        return True

    def _store(self, batch: Batch, second: int, size: int) -> None:
        newest = self._newest.get(batch.stream, 0)
        for entry in batch.entries:
            # Else Loki would refuse it, or lose it where the stream is sharded.
            assert entry.timestamp >= newest - 3600 * SECOND, "too far behind"
            newest = max(newest, entry.timestamp)
            self.held[_number(entry.line)] += 1
        self._newest[batch.stream] = newest
        self._of_stream[batch.stream, second // 10] += size
        self.sharded += self._of_stream[batch.stream, second // 10] > 1_572_864 * 10


def _number(line: str) -> int:
    return int(line.partition(" ")[0])


class Simulation:
    """The schedule: redrivers every five minutes, and the failures in between."""

    def __init__(self, loki: Loki, workers: int) -> None:
        self.s3 = S3()
        self.loki = loki
        self.workers = workers
        self.last: dict[int, RedriveReport] = {}
        self.longest = 0.0
        self.minutes_of_lambda = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._tenants_without_metadata: set[str | None] = set()

    def at(self, when: timedelta, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when.total_seconds(), len(self._due), act))

    def keep(self, payload: Payload, at: float) -> None:
        """Write what Lambda writes when the shipper has failed three times."""
        when = START + timedelta(seconds=at)
        name = f"{when:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{payload.number:08x}"
        self.s3.put(f"aws/lambda/async/shipper/{name}", payload, at)

    def run(
        self,
        start: timedelta,
        until: Callable[[], bool] | timedelta,
        *,
        every: timedelta = 5 * MINUTE,
    ) -> timedelta:
        """Start the redrivers every few minutes, until a time or until something holds."""
        now = start
        while not (now >= until if isinstance(until, timedelta) else until()):
            while self._due and self._due[0][0] <= now.total_seconds():
                heapq.heappop(self._due)[2]()
            self._schedule(now.total_seconds())
            now += every
        return now

    def _schedule(self, now: float) -> None:
        work = [self._worker(Share(number, self.workers)) for number in range(self.workers)]
        Clocks().run(now, work)

    def _worker(self, share: Share) -> Callable[[Clock], None]:
        def work(clock: Clock) -> None:
            began = clock()
            bucket, now = self.s3.bucket(clock), START + timedelta(seconds=began)
            needed = redrive_effects(
                self._around(clock, began + RUN_SECONDS - RESERVE),
                bucket,
                workers=share.workers,
                clock=clock,
                now=now,
                map=clock.map,
            )
            before = read_cursor(bucket, share)
            objects = waiting(bucket, now, share=share, after=before.after)
            run = redrive(objects, needed, cursor=before)
            write_cursor(before, run.cursor, share, needed.put)
            self.longest = max(self.longest, clock() - began)
            self.minutes_of_lambda += (clock() - began) / 60
            self.last[share.worker] = run

        return work

    def _around(self, clock: Clock, end: float) -> ShipperDependencies:
        def put(key: str, body: bytes) -> None:
            clock.sleep(WRITE)
            self.s3.put(key, body, clock())

        delivery = DeliveryEffects(
            send=lambda batch: self.loki.push(batch, clock),
            remaining=lambda: end - clock(),
            now=lambda: int((START.timestamp() + clock()) * SECOND),
            sleep=clock.sleep,
            jitter=lambda longest: longest / 2,
            renew=lambda: False,
            tenants_without_metadata=self._tenants_without_metadata,
            late_minutes=30,
        )
        return ShipperDependencies(
            settings=Settings(
                loki_url="http://loki",
                tenant_tag="tenant",
                builtin_labels=(("log_group", "log_group"),),
            ),
            rule_state=RuleState(Rules(), {}),
            account=None,
            region="eu-central-1",
            own_log_group=None,
            tags=lambda source: LogGroupTags({"tenant": source.log_group.split("/")[1]}),
            delivery=delivery,
            put=put,
        )

    @property
    def dollars(self) -> float:
        """Give what the requests to S3 cost, and Lambda at 256 MB on arm64."""
        lambda_ = self.minutes_of_lambda * 60 * 0.25 * 0.0000133334
        return lambda_ + sum(PRICES[name] * count for name, count in self.s3.requests.items())
