"""A bucket in memory, records to put into it, and a Loki that answers by log group."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from loki_shipper.local.sample import Call, invocation_event, log_data
from loki_shipper.model import Batch, LogSource
from loki_shipper.redriver.bucket import EVERYTHING, Bucket, Fault, Share, StoredObject, waiting
from loki_shipper.redriver.cursor import BEGINNING, Cursor
from loki_shipper.redriver.effects import RedriveEffects, redrive_effects
from loki_shipper.redriver.redrive import redrive
from loki_shipper.redriver.report import RedriveReport
from loki_shipper.settings import Settings
from loki_shipper.shipper.delivery.answer import Answer, NoAnswer
from loki_shipper.shipper.delivery.dead_letters import DeadLetterError
from loki_shipper.shipper.delivery.deliver import DeliveryEffects
from loki_shipper.shipper.entries.transform import RuleState
from loki_shipper.shipper.labels.tags import LogGroupTags
from loki_shipper.shipper.pipeline import ShipperDependencies
from loki_shipper.shipper.rules.model import Rules

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AN_HOUR_AGO = NOW - timedelta(hours=1)
A_WEEK_AGO = NOW - timedelta(days=7)

type Reply = Answer | NoAnswer

STORED = Answer(204)
DOWN = Answer(503, "empty ring")
BLOCKED = Answer(260, "ingestion blocked for user")
LIMITED = Answer(429, "ingestion rate limit exceeded")
TOO_OLD = Answer(
    400, "has timestamp too old: x, oldest acceptable timestamp is: 2026-12-01T00:00:00Z"
)


class MemoryBucket:
    """The objects by key: body and time of writing; `moved` are keys and reasons.

    `unreadable` and `undeletable` keys fail with a code of S3's.
    """

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.moved: list[tuple[str, str, str]] = []
        self.listed = 0
        self.reads: list[list[str]] = []
        self.unreadable: dict[str, str] = {}
        self.undeletable: dict[str, str] = {}
        self.now = NOW
        self.is_full = False

    def put(self, key: str, body: bytes, written: datetime = AN_HOUR_AGO) -> None:
        self.objects[key] = (body, written)

    def write(self, key: str, body: bytes) -> None:
        """Write as the shipper does."""
        if self.is_full:
            raise DeadLetterError("the bucket cannot be written: ClientError")
        self.put(key, body, self.now)

    def bucket(self) -> Bucket:
        return Bucket(self._list, self._read, self._delete, self._move)

    def _list(self, prefix: str, after: str) -> Iterator[StoredObject]:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        for key in keys:
            if key in self.objects:
                body, written = self.objects[key]
                self.listed += 1
                yield StoredObject(key, len(body), written)

    def _read(self, keys: Sequence[str]) -> list[bytes | Fault | None]:
        self.reads.append([*keys])
        return [self._body(key) for key in keys]

    def _body(self, key: str) -> bytes | Fault | None:
        if key in self.unreadable:
            return Fault(self.unreadable[key])
        return self.objects[key][0] if key in self.objects else None

    def _delete(self, keys: Sequence[str]) -> dict[str, Fault]:
        faults = {key: Fault(self.undeletable[key]) for key in keys if key in self.undeletable}
        for key in keys:
            if key not in faults:
                self.objects.pop(key, None)
        return faults

    def _move(self, key: str, to: str, reason: str) -> Fault | None:
        for why in (self.unreadable.get(key), self.undeletable.get(key)):
            if why is not None:
                return Fault(why)
        if key in self.objects:
            self.objects[to] = (self.objects.pop(key)[0], self.now)
            self.moved.append((key, to, reason))
        return None

    def keys(self, folder: str = "") -> list[str]:
        return sorted(key for key in self.objects if key.startswith(folder))


class RedriverInMemory:
    """The redriver on a bucket in memory, and a Loki that answers by log group.

    The tenant of a log group is its first name: `/ecs/shop` is of `ecs`. Time moves only when
    something sleeps or is pushed.
    """

    def __init__(self, *objects: tuple[str, bytes], **answers: Reply | Iterator[Reply]) -> None:
        self.memory = MemoryBucket()
        for key, body in objects:
            self.memory.put(key, body)
        self.answers: Mapping[str, Reply | Iterator[Reply]] = answers
        self.decide: Callable[[Batch], Reply] | None = None
        self.pushed: list[list[str]] = []
        self.time = 0.0
        self.seconds = 300.0
        self.crashes: set[str] = set()
        self.unknown: set[str] = set()
        self.untagged: set[str] = set()
        self.settings = Settings(
            loki_url="http://loki",
            tenant_tag="tenant",
            builtin_labels=(("log_group", "log_group"),),
        )

    def run(
        self,
        *,
        share: Share = EVERYTHING,
        cursor: Cursor = BEGINNING,
        now: datetime = NOW,
        **options: Any,
    ) -> RedriveReport:
        self.memory.now = now
        needed = self.effects(now, share.workers)
        objects = waiting(needed.bucket, now, share=share, after=cursor.after)
        return redrive(objects, needed, cursor=cursor, **options)

    def effects(self, now: datetime = NOW, workers: int = 1) -> RedriveEffects:
        end = self.time + self.seconds
        delivery = DeliveryEffects(
            send=self._send,
            remaining=lambda: end - self.time,
            now=lambda: int(now.timestamp()) * 1_000_000_000,
            sleep=self._sleep,
            jitter=lambda longest: longest,
            renew=lambda: False,
            tenants_without_metadata=set(),
            late_minutes=self.settings.late_stream_minutes,
        )
        deps = ShipperDependencies(
            settings=self.settings,
            rule_state=RuleState(Rules(), {}),
            account=None,
            region="eu-central-1",
            own_log_group=None,
            tags=self._tags,
            delivery=delivery,
            put=self.memory.write,
        )
        return redrive_effects(
            deps, self.memory.bucket(), workers=workers, clock=lambda: self.time, now=now
        )

    def _tags(self, source: LogSource) -> LogGroupTags:
        log_group = source.log_group
        if log_group in self.crashes:
            raise KeyError("a line of a user")
        if log_group in self.unknown:
            return LogGroupTags({}, known=False)
        if log_group in self.untagged:
            return LogGroupTags({})
        return LogGroupTags({"tenant": log_group.strip("/").split("/")[0]})

    def _send(self, batch: Batch) -> Reply:
        assert len(self.pushed) < 10_000, "it does not end"
        self.pushed.append([entry.line for entry in batch.entries])
        if self.decide is not None:
            return self.decide(batch)
        group = dict(batch.stream.labels)["log_group"]
        answer = self.answers.get(group.strip("/").replace("/", "_"), STORED)
        return next(answer) if isinstance(answer, Iterator) else answer

    def _sleep(self, seconds: float) -> None:
        self.time += seconds


def failed(at: str, group: str = "/ecs/shop", *lines: str) -> tuple[str, bytes]:
    """Give key and body of what the shipper kept of a log group at a time of the day."""
    name = group.strip("/").replace("/", "_")
    return f"failed/2026/11/20/2026-11-20T{at}-{name}.json", record(group, *lines)


def of_lambda(
    at: str, group: str = "/ecs/shop", *lines: str, function: str = "shipper"
) -> tuple[str, bytes]:
    """Give key and body of what Lambda wrote."""
    name = group.strip("/").replace("/", "_")
    key = f"aws/lambda/async/{function}/2026/11/20/2026-11-20T{at}-{name}"
    return key, record(group, *lines)


def record(group: str, *lines: str, at: datetime = AN_HOUR_AGO) -> bytes:
    return of(timed(group, *((at, line) for line in lines or ("a line",))))


def of(event: Any) -> bytes:
    """Give the body of the on-failure record of an invocation event."""
    return json.dumps({"version": "1.0", "requestPayload": event}).encode()


def timed(group: str, *lines: tuple[datetime, str]) -> Any:
    """Give an invocation event of lines with their times."""
    logged = [(int(at.timestamp() * 1000), line) for at, line in lines]
    return invocation_event(log_data(group, "stream", [Call(logged[-1][0], logged)]))
